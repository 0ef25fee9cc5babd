//! Refusals and faults of the mail server.

use super::{Advice, Who, Words};

const fn row(id: &'static str, who: Who, means: Words, step: Words) -> Advice {
    Advice { id, who, aadsts: &[], means, step }
}

const fn w(en: &'static str, fr: &'static str) -> Words {
    Words { en, fr }
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
            "Check the host name in `rebond account show {account}`.",
            "Vérifiez le nom d’hôte dans `rebond account show {account}`.",
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
            "Have it renewed; there is no switch to accept it.",
            "Faites-le renouveler ; aucun réglage ne permet de l’accepter.",
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
            "If it is your own authority, name its certificate file as extra CA.",
            "S’il s’agit de votre propre autorité, indiquez son certificat comme autorité supplémentaire.",
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
            "Use port 993 with encryption tls, or have STARTTLS enabled.",
            "Utilisez le port 993 avec le chiffrement tls, ou faites activer STARTTLS.",
        ),
    ),
    row(
        "login-refused",
        Who::Administrator,
        w("The server refused the sign-in.", "Le serveur a refusé la connexion."),
        w(
            "For a password: check user and password. For OAuth: whoever consented must have full access to this mailbox, and IMAP must be enabled for it (Set-CASMailbox -ImapEnabled $true).",
            "Pour un mot de passe : vérifiez l’utilisateur et le mot de passe. Pour OAuth : la personne qui a consenti doit avoir un accès complet à la boîte, et IMAP doit y être activé (Set-CASMailbox -ImapEnabled $true).",
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
            "Check that the mailbox is the one meant, that whoever consented has full access to it, that it has a licence, and that IMAP is enabled for it.",
            "Vérifiez que la boîte est la bonne, que la personne qui a consenti y a un accès complet, qu’elle a une licence et qu’IMAP y est activé.",
        ),
    ),
    row(
        "basic-auth-disabled",
        Who::Operator,
        w("Exchange Online takes no passwords any more.", "Exchange Online n’accepte plus de mots de passe."),
        w(
            "Register an app and connect the account by OAuth (`rebond app add`, `rebond connect {account}`).",
            "Inscrivez une application et connectez le compte par OAuth (`rebond app add`, `rebond connect {account}`).",
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
        "throttled",
        Who::Nobody,
        w("The server asks us to come back later.", "Le serveur nous demande de revenir plus tard."),
        w("The account rests until then.", "Le compte attend jusque-là."),
    ),
    row(
        "folder-missing",
        Who::Operator,
        w("A folder that should be read or filled does not exist.", "Un dossier à lire ou à remplir n’existe pas."),
        w("Create it, or change the account's folders.", "Créez-le, ou changez les dossiers du compte."),
    ),
    row(
        "server-broken",
        Who::Nobody,
        w(
            "The server answered with something that is no IMAP, or with more than we accept.",
            "Le serveur a répondu par autre chose que de l’IMAP, ou plus que nous n’acceptons.",
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
            "Give the mailbox's user the rights to do so, or set the account to leave read mail.",
            "Donnez ces droits à l’utilisateur de la boîte, ou réglez le compte pour laisser le courrier lu.",
        ),
    ),
];
