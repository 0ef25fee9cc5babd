//! What the doctor finds beside what a poll knows: connection, certificate, greeting, and tokens by their claims. Exchange:
//! Microsoft, "POP3 and IMAP4 in Exchange Server", "Set-PopSettings", "Set-ImapSettings", "Set-CASMailbox",
//! "Get-ServerComponentState", "Authenticate an IMAP, POP or SMTP connection using OAuth".

use super::{Advice, Who, row, w};

pub(super) const ROWS: &[Advice] = &[
    row(
        "app-missing",
        Who::Operator,
        w("The account names an app that is not there.", "Le compte nomme une application qui n’existe pas."),
        w(
            "Add it with `rebond app add`, or open the account another way with `rebond account set {account}`.",
            "Ajoutez-la avec `rebond app add`, ou ouvrez le compte autrement avec `rebond account set {account}`.",
        ),
    ),
    row(
        "reach-port",
        Who::Operator,
        w(
            "At public addresses only the ports of mail (110, 143, 465, 587, 993, 995) and 443 are connected to.",
            "Aux adresses publiques, seuls les ports de messagerie (110, 143, 465, 587, 993, 995) et 443 sont joints.",
        ),
        w(
            "Correct the port with `rebond account set {account} --server HOST:PORT`, that of a forwarding server with `rebond account forward {account}`; a server that really listens elsewhere must be named in the reach policy.",
            "Corrigez le port avec `rebond account set {account} --server HOST:PORT`, celui d’un serveur de transfert avec `rebond account forward {account}` ; un serveur qui écoute vraiment ailleurs doit être nommé dans la politique d’accès.",
        ),
    ),
    row(
        "connection-refused",
        Who::Administrator,
        w(
            "The machine is there, and nothing listens on this port, nor on the other port that is usual for the protocol.",
            "La machine est là, et rien n’écoute sur ce port, ni sur l’autre port habituel du protocole.",
        ),
        w(
            "Check the host name; then have the service started. On Exchange POP3 and IMAP4 are stopped after installation: Exchange 2010 has one service each (MSExchangePOP3, MSExchangeIMAP4), 2013 and later two each (MSExchangePOP3 and MSExchangePOP3BE, MSExchangeIMAP4 and MSExchangeIMAP4BE), and all of them must run and start by themselves (`Set-Service -StartupType Automatic`); the ports are in Get-PopSettings and Get-ImapSettings (SSLBindings, UnencryptedOrTLSBindings).",
            "Vérifiez le nom d’hôte, puis faites démarrer le service. Sur Exchange, POP3 et IMAP4 sont arrêtés après l’installation : Exchange 2010 a un service pour chacun (MSExchangePOP3, MSExchangeIMAP4), 2013 et suivants en ont deux (MSExchangePOP3 et MSExchangePOP3BE, MSExchangeIMAP4 et MSExchangeIMAP4BE), qui doivent tous tourner et démarrer seuls (`Set-Service -StartupType Automatic`) ; les ports sont dans Get-PopSettings et Get-ImapSettings (SSLBindings, UnencryptedOrTLSBindings).",
        ),
    ),
    row(
        "port-wrong",
        Who::Operator,
        w(
            "Nothing listens on the account's port, and the same machine takes connections at another port of the protocol: the rung that broke says which, and the encryption that goes with it.",
            "Rien n’écoute sur le port du compte, et la même machine accepte des connexions sur un autre port du protocole : l’échelon rompu dit lequel, et le chiffrement qui va avec.",
        ),
        w(
            "Name it: `rebond account set {account} --server HOST:PORT --encryption tls` (or starttls), with the account's --app or --password as before; then run the doctor again.",
            "Indiquez-le : `rebond account set {account} --server HÔTE:PORT --encryption tls` (ou starttls), avec --app ou --password comme avant ; puis relancez le docteur.",
        ),
    ),
    row(
        "connection-silent",
        Who::Administrator,
        w(
            "Nobody answers at this address and port: packets are dropped on the way.",
            "Personne ne répond à cette adresse et à ce port : les paquets sont perdus en chemin.",
        ),
        w(
            "Have the firewall between this deployment and the server opened for the port; a server in a private network is reached from AWS through subnets of that network alone.",
            "Faites ouvrir ce port dans le pare-feu entre ce déploiement et le serveur ; depuis AWS, un serveur d’un réseau privé n’est joint que par des sous-réseaux de ce réseau.",
        ),
    ),
    row(
        "tls-not-yet-valid",
        Who::Operator,
        w(
            "The server's certificate is not valid yet, or the clock of one of both is wrong.",
            "Le certificat du serveur n’est pas encore valide, ou l’une des deux horloges est fausse.",
        ),
        w(
            "Check the clock of this machine first, then the certificate's first day.",
            "Vérifiez d’abord l’horloge de cette machine, puis le premier jour du certificat.",
        ),
    ),
    row(
        "tls-self-signed",
        Who::Administrator,
        w(
            "The server's certificate is signed by itself, so that anybody could have made it. Exchange makes such a one when it is installed.",
            "Le certificat du serveur est signé par lui-même : n’importe qui aurait pu l’établir. Exchange en crée un à l’installation.",
        ),
        w(
            "Give the service a certificate of an authority: on Exchange `Enable-ExchangeCertificate -Services POP,IMAP`, then X509CertificateName in Set-PopSettings or Set-ImapSettings, and restart the services (for a forwarding server `-Services SMTP` alone). There is no switch to accept it as it is.",
            "Donnez au service le certificat d’une autorité : sur Exchange `Enable-ExchangeCertificate -Services POP,IMAP`, puis X509CertificateName dans Set-PopSettings ou Set-ImapSettings, et redémarrez les services (pour un serveur de transfert, `-Services SMTP` suffit). Aucun réglage ne permet de l’accepter tel quel.",
        ),
    ),
    row(
        "tls-ca-as-server",
        Who::Administrator,
        w(
            "The server shows the certificate of an authority as its own.",
            "Le serveur présente comme sien le certificat d’une autorité.",
        ),
        w(
            "Give the server a certificate of its own that is signed by that authority.",
            "Donnez au serveur un certificat à lui, signé par cette autorité.",
        ),
    ),
    row(
        "tls-too-old",
        Who::Administrator,
        w("The server speaks no TLS that is still safe.", "Le serveur ne parle aucun TLS encore sûr."),
        w(
            "Enable TLS 1.2 there (Exchange 2010 and 2013 need it switched on in Windows and .NET), or renew the server.",
            "Activez-y TLS 1.2 (Exchange 2010 et 2013 demandent de l’activer dans Windows et .NET), ou renouvelez le serveur.",
        ),
    ),
    row(
        "tls-not-spoken",
        Who::Operator,
        w(
            "What listens on this port speaks in clear at first, not TLS.",
            "Ce qui écoute sur ce port parle d’abord en clair, et non en TLS.",
        ),
        w(
            "Encryption and port belong together: `rebond account set {account} --encryption tls` (port 993, POP3 995), or `--encryption starttls` (port 143, POP3 110).",
            "Chiffrement et port vont ensemble : `rebond account set {account} --encryption tls` (port 993, POP3 995), ou `--encryption starttls` (port 143, POP3 110).",
        ),
    ),
    row(
        "tls-broken",
        Who::Administrator,
        w(
            "The server ends the connection in the midst of the TLS handshake, as one does that has no certificate.",
            "Le serveur coupe pendant la négociation TLS, comme le fait un serveur sans certificat.",
        ),
        w(
            "Give the service a certificate: on Exchange Get-ExchangeCertificate must show I and P (IMAP, POP; for a forwarding server S, SMTP) at one of them (`Enable-ExchangeCertificate -Services POP,IMAP`), and SSLBindings must name the port.",
            "Donnez un certificat au service : sur Exchange, Get-ExchangeCertificate doit montrer I et P (IMAP, POP ; pour un serveur de transfert S, SMTP) pour l’un d’eux (`Enable-ExchangeCertificate -Services POP,IMAP`), et SSLBindings doit nommer le port.",
        ),
    ),
    row(
        "tls-silent",
        Who::Operator,
        w(
            "The server takes the connection and does not answer the TLS handshake.",
            "Le serveur accepte la connexion et ne répond pas à la négociation TLS.",
        ),
        w(
            "Check that this port speaks TLS from the first byte (993, 995); else use starttls, or look at what stands in between: a proxy, a virus scanner.",
            "Vérifiez que ce port parle TLS dès le premier octet (993, 995) ; sinon utilisez starttls, ou examinez ce qui se trouve entre les deux : un mandataire, un antivirus.",
        ),
    ),
    row(
        "starttls-refused",
        Who::Administrator,
        w(
            "The server offers to start encryption and then refuses; nothing of the login was sent.",
            "Le serveur propose de chiffrer, puis refuse ; rien des identifiants n’a été envoyé.",
        ),
        w(
            "Usually it has no certificate for the service: on Exchange `Enable-ExchangeCertificate -Services POP,IMAP` and X509CertificateName in Set-PopSettings or Set-ImapSettings. Port 993 (POP3 995) with tls is the better choice.",
            "En général le service n’a pas de certificat : sur Exchange `Enable-ExchangeCertificate -Services POP,IMAP` et X509CertificateName dans Set-PopSettings ou Set-ImapSettings. Le port 993 (POP3 995) avec tls est préférable.",
        ),
    ),
    row(
        "starttls-tampered",
        Who::Administrator,
        w(
            "Something was slipped into the connection just before encryption began: somebody in between, or a faulty mail proxy. Nothing of the login was sent.",
            "Quelque chose a été glissé dans la connexion juste avant le chiffrement : un intermédiaire, ou un mandataire défectueux. Rien des identifiants n’a été envoyé.",
        ),
        w(
            "Use port 993 (POP3 995, a forwarding server 465) with tls, and have the way to the server looked at.",
            "Utilisez le port 993 (POP3 995, un serveur de transfert 465) avec tls, et faites examiner le chemin vers le serveur.",
        ),
    ),
    row(
        "preauth",
        Who::Administrator,
        w(
            "The server greets us as somebody who is logged in already, before encryption and without a login.",
            "Le serveur nous accueille comme déjà identifiés, sans chiffrement ni identifiants.",
        ),
        w(
            "Use port 993 with tls; a server that logs in by address must not do so for us.",
            "Utilisez le port 993 avec tls ; un serveur qui identifie par l’adresse ne doit pas le faire pour nous.",
        ),
    ),
    row(
        "greeting-silent",
        Who::Operator,
        w(
            "The server takes the connection and says nothing, as one does that waits for TLS to begin.",
            "Le serveur accepte la connexion et ne dit rien, comme celui qui attend le début de TLS.",
        ),
        w(
            "With port 993 or 995 set the encryption to tls (`rebond account set {account} --encryption tls`); else look at what stands in between.",
            "Avec le port 993 ou 995, réglez le chiffrement sur tls (`rebond account set {account} --encryption tls`) ; sinon examinez ce qui se trouve entre les deux.",
        ),
    ),
    row(
        "greeting-closed",
        Who::Administrator,
        w(
            "The server takes the connection and ends it without a word.",
            "Le serveur accepte la connexion et la coupe sans un mot.",
        ),
        w(
            "On Exchange 2013 and later the component is inactive or the back end is stopped: Get-ServerComponentState must show PopProxy and ImapProxy as Active, and MSExchangePOP3BE or MSExchangeIMAP4BE must run beside the front end's service. Elsewhere look for a rule that lets in certain addresses alone.",
            "Sur Exchange 2013 et suivants, le composant est inactif ou l’arrière-plan arrêté : Get-ServerComponentState doit montrer PopProxy et ImapProxy actifs, et MSExchangePOP3BE ou MSExchangeIMAP4BE doit tourner à côté du service frontal. Ailleurs, cherchez une règle qui n’admet que certaines adresses.",
        ),
    ),
    row(
        "wrong-protocol",
        Who::Operator,
        w(
            "What answers on this port speaks another protocol than the account.",
            "Ce qui répond sur ce port parle un autre protocole que le compte.",
        ),
        w(
            "Correct port or protocol: IMAP is 993 and 143, POP3 995 and 110. The protocol of an account stays: remove it and add it anew.",
            "Corrigez le port ou le protocole : IMAP est 993 et 143, POP3 995 et 110. Le protocole d’un compte ne change pas : supprimez-le et ajoutez-le à nouveau.",
        ),
    ),
    row(
        "smtp-answers",
        Who::Operator,
        w(
            "A server for sending mail (SMTP) answers: mail is not read there.",
            "C’est un serveur d’envoi (SMTP) qui répond : on n’y relève pas de courrier.",
        ),
        w(
            "Name host and port of IMAP (993) or POP3 (995) with `rebond account set {account}`. A server for sending is named for forwarding alone (`rebond account forward {account}`).",
            "Nommez l’hôte et le port d’IMAP (993) ou de POP3 (995) avec `rebond account set {account}`. Un serveur d’envoi ne se nomme que pour le transfert (`rebond account forward {account}`).",
        ),
    ),
    row(
        "exchange-no-oauth",
        Who::Operator,
        w(
            "This Exchange server offers no login by token: on premises POP3 and IMAP4 have none, not even with hybrid modern authentication.",
            "Ce serveur Exchange ne propose pas de connexion par jeton : sur site, POP3 et IMAP4 n’en ont pas, même avec l’authentification moderne hybride.",
        ),
        w(
            "Open the account with a password (`rebond account set {account} --password`), or name the server of Exchange Online if the mailbox has moved there.",
            "Ouvrez le compte avec un mot de passe (`rebond account set {account} --password`), ou nommez le serveur d’Exchange Online si la boîte y a été déplacée.",
        ),
    ),
    row(
        "secure-logon",
        Who::Operator,
        w(
            "The server takes passwords on encrypted connections alone (on Exchange: LoginType SecureLogin), and this one is in clear.",
            "Le serveur n’accepte de mots de passe que sur des connexions chiffrées (sur Exchange : LoginType SecureLogin), et celle-ci est en clair.",
        ),
        w(
            "Encrypt it: `rebond account set {account} --encryption tls` (or starttls).",
            "Chiffrez-la : `rebond account set {account} --encryption tls` (ou starttls).",
        ),
    ),
    row(
        "password-not-offered",
        Who::Administrator,
        w(
            "The connection is encrypted, and the server takes no passwords on it all the same.",
            "La connexion est chiffrée, et le serveur n’y accepte pourtant aucun mot de passe.",
        ),
        w(
            "Connect the account by OAuth if the server offers XOAUTH2, or have PLAIN or LOGIN enabled.",
            "Connectez le compte par OAuth si le serveur propose XOAUTH2, ou faites activer PLAIN ou LOGIN.",
        ),
    ),
    row(
        "never-connected",
        Who::Person,
        w("Nobody has connected this account yet.", "Personne n’a encore connecté ce compte."),
        w(
            "Send the link that `rebond connect {account}` prints to whoever may open the mailbox.",
            "Envoyez le lien qu’affiche `rebond connect {account}` à qui peut ouvrir la boîte.",
        ),
    ),
    row(
        "token-audience",
        Who::AppOwner,
        w(
            "The token was made for another service than the one that reads the mailbox, and was refused.",
            "Le jeton a été établi pour un autre service que celui qui relève la boîte, et a été refusé.",
        ),
        w(
            "Its `aud` must be Exchange for IMAP and POP3, Microsoft Graph for Graph: `rebond token {account}` shows both. Look at the app's scopes, then connect anew.",
            "Son `aud` doit être Exchange pour IMAP et POP3, Microsoft Graph pour Graph : `rebond token {account}` montre les deux. Vérifiez les étendues de l’application, puis reconnectez.",
        ),
    ),
    row(
        "token-permission",
        Who::Administrator,
        w(
            "The token carries other permissions than this protocol needs, and was refused.",
            "Le jeton porte d’autres autorisations que celles que demande ce protocole, et a été refusé.",
        ),
        w(
            "IMAP needs IMAP.AccessAsUser.All (an app alone IMAP.AccessAsApp), POP3 POP.AccessAsUser.All (POP.AccessAsApp), Graph Mail.ReadWrite: add it to the registration, have it consented to, then `rebond connect {account}`.",
            "IMAP demande IMAP.AccessAsUser.All (une application seule IMAP.AccessAsApp), POP3 POP.AccessAsUser.All (POP.AccessAsApp), Graph Mail.ReadWrite : ajoutez-la à l’inscription, faites-la consentir, puis `rebond connect {account}`.",
        ),
    ),
    row(
        "token-tenant",
        Who::Person,
        w(
            "The token belongs to another directory than the app's, and was refused.",
            "Le jeton appartient à un autre annuaire que celui de l’application, et a été refusé.",
        ),
        w(
            "Sign in with an account of the mailbox's own organisation: `rebond connect {account}`.",
            "Connectez-vous avec un compte de l’organisation de la boîte : `rebond connect {account}`.",
        ),
    ),
    row(
        "token-other-app",
        Who::Operator,
        w(
            "The token was made for another app registration than the account names, and was refused.",
            "Le jeton a été établi pour une autre inscription que celle que nomme le compte, et a été refusé.",
        ),
        w("Connect it anew: `rebond connect {account}`.", "Reconnectez-le : `rebond connect {account}`."),
    ),
    row(
        "token-ended",
        Who::Operator,
        w(
            "The token had ended when it was used: this machine's clock differs from the provider's.",
            "Le jeton avait expiré lors de son emploi : l’horloge de cette machine diffère de celle du fournisseur.",
        ),
        w("Set the clock of this machine.", "Réglez l’horloge de cette machine."),
    ),
    row(
        "exchange-password-refused",
        Who::Administrator,
        w(
            "Exchange refused name or password, and says the same where the protocol is switched off for the mailbox.",
            "Exchange a refusé le nom ou le mot de passe, et dit la même chose quand le protocole est désactivé pour la boîte.",
        ),
        w(
            "Check in this order: Get-CASMailbox (PopEnabled, ImapEnabled) shows True, the name is DOMAIN\\user or the user principal name (for a shared mailbox DOMAIN\\user\\alias), the password was not changed; then store it with `rebond account password {account}`.",
            "Vérifiez dans cet ordre : Get-CASMailbox (PopEnabled, ImapEnabled) montre True, le nom est DOMAINE\\utilisateur ou le nom principal (pour une boîte partagée DOMAINE\\utilisateur\\alias), le mot de passe n’a pas changé ; puis enregistrez-le avec `rebond account password {account}`.",
        ),
    ),
    row(
        "service-principal-missing",
        Who::Administrator,
        w(
            "The app's token is as it should be, and Exchange does not know the app: its service principal was not registered in Exchange, or with another object ID.",
            "Le jeton de l’application est correct, et Exchange ne connaît pas l’application : son principal de service n’est pas enregistré dans Exchange, ou avec un autre ID d’objet.",
        ),
        w(
            "Run the script that `rebond kit {account}` prints: New-ServicePrincipal with the object ID of the enterprise application, then Add-MailboxPermission; it may take half an hour to be known everywhere.",
            "Exécutez le script qu’affiche `rebond kit {account}` : New-ServicePrincipal avec l’ID d’objet de l’application d’entreprise, puis Add-MailboxPermission ; il faut parfois une demi-heure pour que ce soit connu partout.",
        ),
    ),
    row(
        "graph-token-refused",
        Who::Administrator,
        w("Microsoft Graph refused the token.", "Microsoft Graph a refusé le jeton."),
        w(
            "`rebond token {account}` shows what is in it and what should be; where it is as it should be, a policy has ended it (conditional access, sessions revoked): connect anew with `rebond connect {account}`, or look into the sign-in log.",
            "`rebond token {account}` montre ce qu’il contient et ce qu’il devrait contenir ; s’il est correct, une politique y a mis fin (accès conditionnel, sessions révoquées) : reconnectez avec `rebond connect {account}`, ou consultez le journal des connexions.",
        ),
    ),
    row(
        "server-unavailable",
        Who::Nobody,
        w(
            "The server says that it is unavailable for now (Exchange: \"Server Unavailable. 15\").",
            "Le serveur se dit indisponible pour l’instant (Exchange : « Server Unavailable. 15 »).",
        ),
        w(
            "It is tried again; if it lasts on a server of your own, look whether the mailbox database is mounted and the back end runs.",
            "Une nouvelle tentative suivra ; si cela dure sur un serveur à vous, vérifiez que la base de boîtes est montée et que l’arrière-plan tourne.",
        ),
    ),
    row(
        "exchange-backend",
        Who::Administrator,
        w(
            "Exchange took name and password, and then did not open the mailbox (\"authenticated but not connected\").",
            "Exchange a accepté le nom et le mot de passe, puis n’a pas ouvert la boîte (« authenticated but not connected »).",
        ),
        w(
            "Exchange says the same of several causes. Where other mailboxes of this server are read: the protocol is switched off for this one (Get-CASMailbox must show ImapEnabled and PopEnabled as True; `Set-CASMailbox -ImapEnabled $true`, `-PopEnabled $true`), or the name is not its own (a shared mailbox is DOMAIN\\user\\alias). Where none is: the back end is stopped (MSExchangePOP3BE, MSExchangeIMAP4BE) or the database not mounted (`Get-MailboxDatabase -Status`).",
            "Exchange dit la même chose de plusieurs causes. Si d’autres boîtes de ce serveur sont relevées : le protocole est désactivé pour celle-ci (Get-CASMailbox doit montrer ImapEnabled et PopEnabled à True ; `Set-CASMailbox -ImapEnabled $true`, `-PopEnabled $true`), ou le nom n’est pas le sien (une boîte partagée est DOMAINE\\utilisateur\\alias). Si aucune ne l’est : l’arrière-plan est arrêté (MSExchangePOP3BE, MSExchangeIMAP4BE) ou la base n’est pas montée (`Get-MailboxDatabase -Status`).",
        ),
    ),
    row(
        "folder-refused",
        Who::Administrator,
        w(
            "The server does not let this user open the folder.",
            "Le serveur ne laisse pas cet utilisateur ouvrir le dossier.",
        ),
        w(
            "Give the user the right to read it (on Exchange Add-MailboxFolderPermission, or full access to the mailbox), or name the folders to read without it: `rebond account set {account} --folder NAME`.",
            "Donnez à l’utilisateur le droit de le lire (sur Exchange Add-MailboxFolderPermission, ou l’accès complet à la boîte), ou nommez sans lui les dossiers à relever : `rebond account set {account} --folder NAME`.",
        ),
    ),
    row(
        "message-refused",
        Who::Administrator,
        w("The server lists a message and does not give it out.", "Le serveur annonce un message et ne le donne pas."),
        w(
            "Polls go on with the others and record this one as unreadable; have the mailbox repaired (Exchange: New-MailboxRepairRequest), or move the message aside.",
            "Les relevés continuent avec les autres et notent celui-ci comme illisible ; faites réparer la boîte (Exchange : New-MailboxRepairRequest), ou mettez ce message à part.",
        ),
    ),
    row(
        "connection-lost",
        Who::Nobody,
        w(
            "The server ended the connection in the midst of the conversation.",
            "Le serveur a coupé la connexion au milieu de l’échange.",
        ),
        w(
            "It is tried again; if it lasts, look into the server's protocol log.",
            "Une nouvelle tentative suivra ; si cela dure, consultez le journal de protocole du serveur.",
        ),
    ),
    row(
        "tls-ends-soon",
        Who::Administrator,
        w(
            "The server's certificate ends within two weeks.",
            "Le certificat du serveur expire dans moins de deux semaines.",
        ),
        w("Have it renewed before.", "Faites-le renouveler avant."),
    ),
    row(
        "in-clear",
        Who::Operator,
        w(
            "Password and mail travel unencrypted, within this machine or a private network.",
            "Mot de passe et courrier circulent en clair, sur cette machine ou dans un réseau privé.",
        ),
        w("Use tls or starttls where the server can.", "Utilisez tls ou starttls si le serveur le permet."),
    ),
    row(
        "account-off",
        Who::Operator,
        w(
            "The account is switched off: the schedule does not read it.",
            "Le compte est désactivé : le calendrier ne le relève pas.",
        ),
        w(
            "When it should be read: `rebond account set {account} --on`.",
            "Pour qu’il soit relevé : `rebond account set {account} --on`.",
        ),
    ),
    row(
        "token-differs",
        Who::AppOwner,
        w(
            "Something in the token differs from what the mail server wants.",
            "Quelque chose dans le jeton diffère de ce que demande le serveur.",
        ),
        w("`rebond token {account}` shows it.", "`rebond token {account}` le montre."),
    ),
];
