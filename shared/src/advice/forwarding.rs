//! The server that takes what is forwarded. Exchange: Microsoft, "Enable or disable authenticated client SMTP submission",
//! "Set-CASMailbox", "Set-TransportConfig", "Set-ReceiveConnector", "Enable-ExchangeCertificate", "Authenticate an IMAP, POP or
//! SMTP connection using OAuth".

use super::{Advice, Who, row, w};

pub(super) const ROWS: &[Advice] = &[
    row(
        "forward-not-reached",
        Who::Operator,
        w(
            "The forwarding server takes no connection at its port. Mail is read all the same.",
            "Le serveur de transfert n’accepte aucune connexion sur son port. Le courrier est relevé malgré tout.",
        ),
        w(
            "Check host and port in `rebond account forward {account}`: 465 with tls, 587 with starttls (25 is closed to the outside by most networks). On Exchange MSExchangeFrontEndTransport must run and a receive connector be bound to the port (Get-ReceiveConnector: Bindings); between both, a firewall.",
            "Vérifiez l’hôte et le port dans `rebond account forward {account}` : 465 avec tls, 587 avec starttls (la plupart des réseaux ferment le 25 vers l’extérieur). Sur Exchange, MSExchangeFrontEndTransport doit tourner et un connecteur de réception être lié au port (Get-ReceiveConnector : Bindings) ; entre les deux, un pare-feu.",
        ),
    ),
    row(
        "forward-no-smtp",
        Who::Operator,
        w(
            "What listens at the forwarding server's port does not speak as the settings say: it takes no mail by SMTP, or starts encryption in the other way.",
            "Ce qui écoute sur le port du serveur de transfert ne parle pas comme le disent les réglages : il n’accepte pas de courrier par SMTP, ou chiffre de l’autre manière.",
        ),
        w(
            "Port and encryption belong together: 465 with tls, 587 with starttls. Say `rebond account forward {account} --to ADDRESS --server HOST:PORT` again.",
            "Port et chiffrement vont ensemble : 465 avec tls, 587 avec starttls. Redonnez `rebond account forward {account} --to ADRESSE --server HÔTE:PORT`.",
        ),
    ),
    row(
        "forward-starttls-missing",
        Who::Administrator,
        w(
            "The forwarding server does not offer STARTTLS, or refuses it, or somebody on the way hides it; neither mail nor login was sent.",
            "Le serveur de transfert ne propose pas STARTTLS, ou le refuse, ou quelqu’un le masque en chemin ; ni courrier ni identifiants n’ont été envoyés.",
        ),
        w(
            "On Exchange the receive connector of this port lacks TLS or a certificate: Get-ReceiveConnector must show Tls among AuthMechanism (`Set-ReceiveConnector -AuthMechanism Tls,BasicAuth,BasicAuthRequireTLS`), and Get-ExchangeCertificate S (SMTP) at a certificate for its Fqdn (`Enable-ExchangeCertificate -Services SMTP`). Elsewhere have STARTTLS enabled, or use port 465 with tls.",
            "Sur Exchange, il manque TLS ou un certificat au connecteur de réception de ce port : Get-ReceiveConnector doit montrer Tls dans AuthMechanism (`Set-ReceiveConnector -AuthMechanism Tls,BasicAuth,BasicAuthRequireTLS`), et Get-ExchangeCertificate S (SMTP) pour un certificat à son Fqdn (`Enable-ExchangeCertificate -Services SMTP`). Ailleurs, faites activer STARTTLS, ou utilisez le port 465 avec tls.",
        ),
    ),
    row(
        "forward-turned-away",
        Who::Administrator,
        w(
            "The forwarding server turns this machine away before it could say who it is.",
            "Le serveur de transfert repousse cette machine avant qu’elle ait pu dire qui elle est.",
        ),
        w(
            "Its words say why. Usually it lets in certain addresses alone: add this deployment's (on Exchange RemoteIPRanges of the receive connector), or use its port for people's mail programs (587, 465).",
            "Ses mots disent pourquoi. En général il n’admet que certaines adresses : ajoutez celle de ce déploiement (sur Exchange RemoteIPRanges du connecteur de réception), ou utilisez son port pour les logiciels de messagerie (587, 465).",
        ),
    ),
    row(
        "forward-mechanism-missing",
        Who::Administrator,
        w(
            "The forwarding server offers no login that fits the settings.",
            "Le serveur de transfert ne propose aucune connexion qui convienne aux réglages.",
        ),
        w(
            "At EHLO `rebond doctor {account}` shows behind AUTH what it offers. On Exchange a password needs BasicAuth among the receive connector's AuthMechanism, and a server of your own knows no tokens. A relay that wants no login: leave out --as-mailbox and --user of `rebond account forward {account}`.",
            "À la ligne EHLO, `rebond doctor {account}` montre derrière AUTH ce qu’il propose. Sur Exchange, un mot de passe demande BasicAuth dans AuthMechanism du connecteur de réception, et un serveur à vous ne connaît pas les jetons. Un relais qui ne veut pas de connexion : omettez --as-mailbox et --user de `rebond account forward {account}`.",
        ),
    ),
    row(
        "smtp-auth-disabled",
        Who::Administrator,
        w(
            "Exchange Online takes no mail by SMTP with a login: SMTP AUTH is switched off, for this mailbox or for the whole organisation. Name, password and token may well be good.",
            "Exchange Online n’accepte pas de courrier par SMTP avec une connexion : SMTP AUTH est désactivé, pour cette boîte ou pour toute l’organisation. Le nom, le mot de passe et le jeton sont peut-être bons.",
        ),
        w(
            "Switch it on for the mailbox that logs in: `Set-CASMailbox MAILBOX -SmtpClientAuthenticationDisabled $false`. That goes before the organisation's setting (Get-TransportConfig: SmtpClientAuthenticationDisabled), which may stay; security defaults of Entra ID must be off. It takes some minutes.",
            "Activez-le pour la boîte qui se connecte : `Set-CASMailbox BOÎTE -SmtpClientAuthenticationDisabled $false`. Cela prime sur le réglage de l’organisation (Get-TransportConfig : SmtpClientAuthenticationDisabled), qui peut rester ; les paramètres de sécurité par défaut d’Entra ID doivent être désactivés. Comptez quelques minutes.",
        ),
    ),
    row(
        "forward-basic-auth",
        Who::Operator,
        w(
            "Exchange Online takes no passwords for sending.",
            "Exchange Online n’accepte pas de mots de passe pour l’envoi.",
        ),
        w(
            "Forward with the token of an account that is opened by OAuth (`rebond account forward {account} --to ADDRESS --server HOST --as-mailbox`), or by another server. Where passwords may still be switched on: `Set-CASMailbox MAILBOX -SmtpClientAuthenticationDisabled $false`.",
            "Transférez avec le jeton d’un compte ouvert par OAuth (`rebond account forward {account} --to ADRESSE --server HÔTE --as-mailbox`), ou par un autre serveur. Là où les mots de passe peuvent encore être activés : `Set-CASMailbox BOÎTE -SmtpClientAuthenticationDisabled $false`.",
        ),
    ),
    row(
        "forward-password-missing",
        Who::Operator,
        w(
            "There is no password for the forwarding server in the vault.",
            "Le coffre ne contient pas de mot de passe pour le serveur de transfert.",
        ),
        w(
            "Say `rebond account forward {account} --to ADDRESS --server HOST --user NAME` again: it asks for the password.",
            "Redonnez `rebond account forward {account} --to ADRESSE --server HÔTE --user NOM` : le mot de passe sera demandé.",
        ),
    ),
    row(
        "forward-login-refused",
        Who::Operator,
        w(
            "The forwarding server refused name or password. Mail is read all the same.",
            "Le serveur de transfert a refusé le nom ou le mot de passe. Le courrier est relevé malgré tout.",
        ),
        w(
            "`rebond account forward {account}` shows the name. With --as-mailbox the mailbox's own password is used: the server must know it, too. Else say the command again with --user, which asks for the password.",
            "`rebond account forward {account}` montre le nom. Avec --as-mailbox, c’est le mot de passe de la boîte : ce serveur doit le connaître aussi. Sinon redonnez la commande avec --user, qui demande le mot de passe.",
        ),
    ),
    row(
        "forward-token-refused",
        Who::Administrator,
        w(
            "The token opens the mailbox, and the forwarding server refused it.",
            "Le jeton ouvre la boîte, et le serveur de transfert l’a refusé.",
        ),
        w(
            "Check in this order: `rebond token {account}` shows SMTP.Send (of a person who signed in: add it to the registration, then `rebond connect {account}`) or SMTP.SendAsApp (of the app itself: with admin consent); SMTP AUTH is on for the mailbox (`Get-CASMailbox MAILBOX`: SmtpClientAuthenticationDisabled is not True); for an app or somebody else's mailbox SendAs is given (`Add-RecipientPermission -AccessRights SendAs`).",
            "Vérifiez dans cet ordre : `rebond token {account}` montre SMTP.Send (d’une personne qui s’est connectée : ajoutez-la à l’inscription, puis `rebond connect {account}`) ou SMTP.SendAsApp (de l’application elle-même : avec le consentement de l’administrateur) ; SMTP AUTH est activé pour la boîte (`Get-CASMailbox BOÎTE` : SmtpClientAuthenticationDisabled n’est pas True) ; pour une application ou la boîte d’autrui, SendAs est accordé (`Add-RecipientPermission -AccessRights SendAs`).",
        ),
    ),
    row(
        "forward-refused",
        Who::Administrator,
        w(
            "The forwarding server lets us in and does not take the mail; it stays in the mailbox and is tried again for three days.",
            "Le serveur de transfert nous laisse entrer et ne prend pas le courrier ; il reste dans la boîte et sera réessayé pendant trois jours.",
        ),
        w(
            "Its words say why. 530 or \"not authenticated\": it wants a login (--as-mailbox or --user of `rebond account forward {account}`). 550 or 554 \"relay\": it takes no mail for that address from this machine. 5.7.60 or SendAs: who logged in may not send as the mailbox (`Add-RecipientPermission -AccessRights SendAs`).",
            "Ses mots disent pourquoi. 530 ou « not authenticated » : il veut une connexion (--as-mailbox ou --user de `rebond account forward {account}`). 550 ou 554 « relay » : il ne prend pas de courrier de cette machine pour cette adresse. 5.7.60 ou SendAs : qui s’est connecté ne peut envoyer au nom de la boîte (`Add-RecipientPermission -AccessRights SendAs`).",
        ),
    ),
    row(
        "forward-later",
        Who::Nobody,
        w("The forwarding server takes nothing for now.", "Le serveur de transfert ne prend rien pour l’instant."),
        w(
            "What waits is tried again at each poll, for three days; meanwhile mail is read.",
            "Ce qui attend est réessayé à chaque relevé, pendant trois jours ; entre-temps le courrier est relevé.",
        ),
    ),
];
