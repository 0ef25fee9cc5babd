//! Refusals and faults of the mail server.

use super::{Advice, Who, row, w};

/// Why Exchange accepts a token and opens no mailbox: it does not say, but who signed in narrows it down. `signed_in` is
/// the name of the person in the token, none for an app's own token.
pub fn of_unopened_mailbox(signed_in: Option<&str>, mailbox: &str) -> &'static str {
    match signed_in {
        None => "not-connected-app",
        Some(name) if name.is_empty() || name.eq_ignore_ascii_case(mailbox) => "not-connected",
        Some(_) => "not-connected-other-user",
    }
}

pub(super) const ROWS: &[Advice] = &[
    row(
        "server-unreachable",
        Who::Nobody,
        w("The mail server was not reached.", "Le serveur de messagerie n’a pas été joint."),
        w(
            "It is tried again; if it lasts, check host name, port and firewall.",
            "Une nouvelle tentative suivra ; si cela dure, vérifiez le nom d’hôte, le port et le pare-feu.",
        ),
    ),
    row(
        "host-unknown",
        Who::Operator,
        w("The mail server's name is not known to DNS.", "Le nom du serveur de messagerie est inconnu du DNS."),
        w(
            "Correct the host name: `rebond account set {account} --server HOST`, that of a forwarding server with `rebond account forward {account}`.",
            "Corrigez le nom d’hôte : `rebond account set {account} --server HOST`, celui d’un serveur de transfert avec `rebond account forward {account}`.",
        ),
    ),
    row(
        "reach-refused",
        Who::Operator,
        w(
            "This deployment may not connect to that address or port.",
            "Ce déploiement n’a pas le droit de se connecter à cette adresse ou à ce port.",
        ),
        w(
            "Allow it in the reach policy if it is really your mail server.",
            "Autorisez-le dans la politique d’accès si c’est bien votre serveur.",
        ),
    ),
    row(
        "tls-name",
        Who::Administrator,
        w(
            "The server's certificate was made for another host name.",
            "Le certificat du serveur est établi pour un autre nom d’hôte.",
        ),
        w(
            "Use the name in the certificate, or have the certificate renewed with this name.",
            "Utilisez le nom du certificat, ou faites-le renouveler avec ce nom.",
        ),
    ),
    row(
        "tls-expired",
        Who::Administrator,
        w("The server's certificate has expired.", "Le certificat du serveur a expiré."),
        w(
            "Have it renewed, and see that the service shows the new one (on Exchange `Enable-ExchangeCertificate` with the service's name, POP, IMAP or SMTP, then restart that service); there is no switch to accept the old one.",
            "Faites-le renouveler, et vérifiez que le service présente le nouveau (sur Exchange `Enable-ExchangeCertificate` avec le nom du service, POP, IMAP ou SMTP, puis redémarrez ce service) ; aucun réglage ne permet d’accepter l’ancien.",
        ),
    ),
    row(
        "tls-issuer",
        Who::Operator,
        w(
            "The server's certificate comes from an authority we do not know.",
            "Le certificat du serveur vient d’une autorité inconnue.",
        ),
        w(
            "If it is your own authority, give its certificate (PEM): `extra-ca` in rebond.toml, the parameter ExtraCa of a stack.",
            "S’il s’agit de votre propre autorité, indiquez son certificat (PEM) : `extra-ca` dans rebond.toml, le paramètre ExtraCa d’une pile.",
        ),
    ),
    row(
        "tls-failed",
        Who::Administrator,
        w("No encrypted connection could be made.", "Aucune connexion chiffrée n’a pu être établie."),
        w(
            "Check that the port speaks TLS 1.2 or later, and that encryption and port belong together (993 tls, 143 starttls).",
            "Vérifiez que le port parle TLS 1.2 ou plus récent, et que chiffrement et port vont ensemble (993 tls, 143 starttls).",
        ),
    ),
    row(
        "starttls-missing",
        Who::Administrator,
        w(
            "The server does not offer STARTTLS, or somebody on the way hides it; nothing was sent.",
            "Le serveur ne propose pas STARTTLS, ou quelqu’un le masque en chemin ; rien n’a été envoyé.",
        ),
        w(
            "Use port 993 (POP3 995) with tls: `rebond account set {account}` with --server and --encryption; or have STARTTLS enabled (on Exchange the service needs a certificate: `Enable-ExchangeCertificate -Services POP,IMAP`, then restart it).",
            "Utilisez le port 993 (POP3 995) avec tls : `rebond account set {account}` avec --server et --encryption ; ou faites activer STARTTLS (sur Exchange, le service a besoin d’un certificat : `Enable-ExchangeCertificate -Services POP,IMAP`, puis redémarrez-le).",
        ),
    ),
    row(
        "login-refused",
        Who::Administrator,
        w("The mail server refused the token.", "Le serveur de messagerie a refusé le jeton."),
        w(
            "`rebond token {account}` shows what is in it and what should be; then check that IMAP (or POP3, where the account is read by it) is enabled for the mailbox (Get-CASMailbox: ImapEnabled, PopEnabled).",
            "`rebond token {account}` montre ce qu’il contient et ce qu’il devrait contenir ; vérifiez ensuite qu’IMAP (ou POP3, si le compte est relevé ainsi) est activé pour la boîte (Get-CASMailbox : ImapEnabled, PopEnabled).",
        ),
    ),
    row(
        "password-refused",
        Who::Operator,
        w("The server refused user name or password.", "Le serveur a refusé le nom d’utilisateur ou le mot de passe."),
        w(
            "Check the user in `rebond account show {account}` and store the password again with `rebond account password {account}`; it is tried four times a day, so that nothing locks the account out.",
            "Vérifiez l’utilisateur dans `rebond account show {account}` et enregistrez à nouveau le mot de passe avec `rebond account password {account}` ; il est essayé quatre fois par jour, pour ne pas verrouiller le compte.",
        ),
    ),
    row(
        "not-connected",
        Who::Administrator,
        w(
            "Exchange accepted the token and then did not open the mailbox (\"authenticated but not connected\").",
            "Exchange a accepté le jeton, puis n’a pas ouvert la boîte (« authenticated but not connected »).",
        ),
        w(
            "Check in this order: does the mailbox exist under this very address, is its protocol (IMAP or POP3) enabled for it, has it an Exchange Online licence; `rebond kit {account}` prints the commands.",
            "Vérifiez dans cet ordre : la boîte existe-t-elle sous cette adresse exacte, son protocole (IMAP ou POP3) y est-il activé, a-t-elle une licence Exchange Online ; `rebond kit {account}` affiche les commandes.",
        ),
    ),
    row(
        "not-connected-other-user",
        Who::Administrator,
        w(
            "Exchange did not open the mailbox: whoever signed in is somebody else than the mailbox, and has no full access to it.",
            "Exchange n’a pas ouvert la boîte : la personne connectée n’est pas la boîte elle-même, et n’y a pas d’accès complet.",
        ),
        w(
            "Sign in as the mailbox itself, or have an administrator give this person full access (`Add-MailboxPermission -AccessRights FullAccess`); `rebond kit {account}` prints the commands.",
            "Connectez-vous comme la boîte elle-même, ou faites donner à cette personne un accès complet par un administrateur (`Add-MailboxPermission -AccessRights FullAccess`) ; `rebond kit {account}` affiche les commandes.",
        ),
    ),
    row(
        "not-connected-app",
        Who::Administrator,
        w(
            "Exchange knows the app's token, and the app has no access to this mailbox.",
            "Exchange reconnaît le jeton de l’application, et l’application n’a pas accès à cette boîte.",
        ),
        w(
            "Run the script that `rebond kit {account}` prints: New-ServicePrincipal with the object ID of the enterprise application (the registration's own object ID is the usual mistake), then Add-MailboxPermission.",
            "Exécutez le script qu’affiche `rebond kit {account}` : New-ServicePrincipal avec l’ID d’objet de l’application d’entreprise (celui de l’inscription est l’erreur habituelle), puis Add-MailboxPermission.",
        ),
    ),
    row(
        "graph-not-permitted",
        Who::Administrator,
        w(
            "Microsoft Graph takes the token, but it carries no permission to read this mailbox.",
            "Microsoft Graph accepte le jeton, mais celui-ci ne permet pas de lire cette boîte.",
        ),
        w(
            "For an app of its own (--app-only): grant it the application permission Mail.ReadWrite of Microsoft Graph with admin consent, or let the scope of its role in RBAC for Applications hold this mailbox. For a person: consent to Mail.ReadWrite, for a shared mailbox Mail.ReadWrite.Shared. `rebond token {account}` shows what is in the token.",
            "Pour une application seule (--app-only) : accordez-lui l’autorisation d’application Mail.ReadWrite de Microsoft Graph avec le consentement de l’administrateur, ou faites entrer cette boîte dans l’étendue de son rôle (RBAC pour les applications). Pour une personne : consentez à Mail.ReadWrite et, pour une boîte partagée, à Mail.ReadWrite.Shared. `rebond token {account}` montre ce que contient le jeton.",
        ),
    ),
    row(
        "graph-no-mailbox",
        Who::Administrator,
        w(
            "Microsoft Graph finds no mailbox of this address, or none that whoever signed in may open.",
            "Microsoft Graph ne trouve aucune boîte à cette adresse, ou aucune que la personne connectée puisse ouvrir.",
        ),
        w(
            "Check in this order: is the address the mailbox's own (user principal name), is it in Exchange Online and not on a server of your own, has it a licence, and for a shared mailbox: has who signed in full access (`Add-MailboxPermission -AccessRights FullAccess`).",
            "Vérifiez dans cet ordre : l’adresse est-elle celle de la boîte (nom principal d’utilisateur), la boîte est-elle dans Exchange Online et non sur un serveur à vous, a-t-elle une licence et, pour une boîte partagée, la personne connectée a-t-elle un accès complet (`Add-MailboxPermission -AccessRights FullAccess`).",
        ),
    ),
    row(
        "protocol-disabled",
        Who::Administrator,
        w(
            "The server says that the account's protocol is switched off for this mailbox, or for its whole organisation.",
            "Le serveur dit que le protocole du compte est désactivé pour cette boîte, ou pour toute son organisation.",
        ),
        w(
            "Switch IMAP (or POP3, where the account is read by it) on: at Google in the mailbox's own settings under \"Forwarding and POP/IMAP\", and in the Admin console for the organisation; elsewhere in the settings of the mailbox.",
            "Activez IMAP (ou POP3, si le compte est relevé ainsi) : chez Google dans les paramètres de la boîte sous « Transfert et POP/IMAP », et dans la console d’administration pour l’organisation ; ailleurs dans les paramètres de la boîte.",
        ),
    ),
    row(
        "no-licence",
        Who::Administrator,
        w(
            "The mailbox has no Exchange Online licence, or is no mailbox of Exchange Online.",
            "La boîte n’a pas de licence Exchange Online, ou n’est pas une boîte d’Exchange Online.",
        ),
        w(
            "Give it an Exchange Online plan; a shared mailbox below 50 GB needs none.",
            "Attribuez-lui une offre Exchange Online ; une boîte partagée de moins de 50 Go n’en demande pas.",
        ),
    ),
    row(
        "basic-auth-disabled",
        Who::Operator,
        w("Exchange Online takes no passwords any more.", "Exchange Online n’accepte plus de mots de passe."),
        w(
            "Register an app and open the account by OAuth: `rebond app add APP --tenant ID`, then `rebond account set {account} --app APP`.",
            "Inscrivez une application et ouvrez le compte par OAuth : `rebond app add APP --tenant ID`, puis `rebond account set {account} --app APP`.",
        ),
    ),
    row(
        "password-missing",
        Who::Operator,
        w(
            "There is no password for this account in the vault.",
            "Le coffre ne contient pas de mot de passe pour ce compte.",
        ),
        w(
            "Store it with `rebond account password {account}`.",
            "Enregistrez-le avec `rebond account password {account}`.",
        ),
    ),
    row(
        "settings-unusable",
        Who::Operator,
        w(
            "The account's settings cannot work: a credential would travel in clear, or holds a character that cannot be sent.",
            "Les réglages du compte ne peuvent pas fonctionner : un secret circulerait en clair, ou contient un caractère impossible à envoyer.",
        ),
        w(
            "Look at `rebond account show {account}`; use encryption tls, and names and folders without control characters.",
            "Consultez `rebond account show {account}` ; utilisez le chiffrement tls, et des noms et dossiers sans caractères de contrôle.",
        ),
    ),
    row(
        "mechanism-missing",
        Who::Administrator,
        w(
            "The server offers no way to sign in that fits this account.",
            "Le serveur ne propose aucune manière de se connecter qui convienne à ce compte.",
        ),
        w(
            "Check that the host is the right one: Exchange Online offers XOAUTH2; a server of your own wants a password account or OAuth enabled.",
            "Vérifiez que l’hôte est le bon : Exchange Online propose XOAUTH2 ; un serveur à vous demande un compte à mot de passe ou l’activation d’OAuth.",
        ),
    ),
    row(
        "uidl-missing",
        Who::Administrator,
        w(
            "The POP3 server does not say which message is which (it has no UIDL), so that mail that was read cannot be told from new mail.",
            "Le serveur POP3 ne dit pas quel message est lequel (il n’a pas UIDL) : le courrier déjà lu ne se distingue pas du nouveau.",
        ),
        w(
            "Read this mailbox by IMAP, or have UIDL (RFC 1939, section 7) switched on at the server.",
            "Relevez cette boîte par IMAP, ou faites activer UIDL (RFC 1939, section 7) sur le serveur.",
        ),
    ),
    row(
        "throttled",
        Who::Nobody,
        w("The server asks us to come back later.", "Le serveur nous demande de revenir plus tard."),
        w(
            "Nothing: the account rests for a while and is then read again by itself. If it lasts for hours, something else holds connections of this mailbox open (Exchange lets in 16 of one user at once).",
            "Rien : le compte attend un peu, puis est relevé de nouveau de lui-même. Si cela dure des heures, autre chose tient ouvertes des connexions à cette boîte (Exchange en admet 16 à la fois par utilisateur).",
        ),
    ),
    row(
        "folder-missing",
        Who::Operator,
        w("A folder that should be read or filled does not exist.", "Un dossier à lire ou à remplir n’existe pas."),
        w(
            "Create it, or name those that exist: `rebond account set {account} --folder NAME` (each that is read), and where read mail is moved to: `rebond account set {account} --reports move=NAME --others move=NAME`.",
            "Créez-le, ou nommez ceux qui existent : `rebond account set {account} --folder NAME` (chacun de ceux à relever), et là où le courrier lu est déplacé : `rebond account set {account} --reports move=NAME --others move=NAME`.",
        ),
    ),
    row(
        "expunge-missing",
        Who::Administrator,
        w(
            "The server cannot remove single messages (it has no UIDPLUS, RFC 4315): read mail that was to be deleted or moved is marked as deleted, and still lies in its folder.",
            "Le serveur ne sait pas retirer un message à la fois (il n’a pas UIDPLUS, RFC 4315) : le courrier lu à supprimer ou à déplacer est marqué comme supprimé, et reste dans son dossier.",
        ),
        w(
            "Have UIDPLUS switched on at the server, or the folder expunged now and then (a mail program calls it compacting); or have read mail left as it is: `rebond account set {account} --reports leave --others leave`.",
            "Faites activer UIDPLUS sur le serveur, ou purger le dossier de temps en temps (les logiciels de messagerie disent compacter) ; ou faites laisser le courrier lu tel quel : `rebond account set {account} --reports leave --others leave`.",
        ),
    ),
    row(
        "server-broken",
        Who::Nobody,
        w(
            "The server answered with something that is not its protocol, or with more than we accept.",
            "Le serveur a répondu par autre chose que son protocole, ou plus que nous n’acceptons.",
        ),
        w("It is tried again; its words are below.", "Une nouvelle tentative suivra ; sa réponse est ci-dessous."),
    ),
    row(
        "server-slow",
        Who::Nobody,
        w("The server did not answer in time.", "Le serveur n’a pas répondu à temps."),
        w("It is tried again.", "Une nouvelle tentative suivra."),
    ),
    row(
        "cannot-settle",
        Who::Administrator,
        w(
            "The facts are recorded, but the server did not let us mark, move or delete the messages.",
            "Les faits sont enregistrés, mais le serveur n’a pas permis de marquer, déplacer ou supprimer les messages.",
        ),
        w(
            "Give the mailbox's user the rights to do so, or have read mail left as it is: `rebond account set {account} --reports leave --others leave`.",
            "Donnez ces droits à l’utilisateur de la boîte, ou faites laisser le courrier lu tel quel : `rebond account set {account} --reports leave --others leave`.",
        ),
    ),
];
