//! Refusals of the identity provider that the app's registration is the cause of: tenant, permissions, how it proves
//! itself. Numbers and meanings: Microsoft, "Microsoft Entra authentication and authorization error codes".

use super::{Advice, Who, numbered as row, w};

pub(super) const ROWS: &[Advice] = &[
    row(
        "single-tenant",
        Who::AppOwner,
        &[50194],
        w(
            "The app is registered for one organisation, and we were told to ask for any.",
            "L’application est inscrite pour une seule organisation, et il nous a été dit de les accepter toutes.",
        ),
        w(
            "Remove the app and add it with its own directory ID (`rebond app add APP --tenant ID`), or change its supported account types.",
            "Retirez l’application et ajoutez-la avec l’identifiant de son annuaire (`rebond app add APP --tenant ID`), ou changez les types de comptes pris en charge.",
        ),
    ),
    row(
        "work-accounts-only",
        Who::AppOwner,
        &[9002332],
        w(
            "The app takes work accounts only, and we were told to ask for personal ones.",
            "L’application n’accepte que les comptes professionnels, et il nous a été dit de demander des comptes personnels.",
        ),
        w(
            "Give organizations or a directory ID as tenant in place of consumers (`rebond app add APP --tenant ID`).",
            "Donnez organizations ou un identifiant d’annuaire comme locataire au lieu de consumers (`rebond app add APP --tenant ID`).",
        ),
    ),
    row(
        "personal-accounts-only",
        Who::AppOwner,
        &[9002331],
        w(
            "The app takes personal accounts only, and we were told to ask for work accounts.",
            "L’application n’accepte que les comptes personnels, et il nous a été dit de demander des comptes professionnels.",
        ),
        w(
            "Give consumers as tenant (`rebond app add APP --tenant consumers`), or change its supported account types.",
            "Donnez consumers comme locataire (`rebond app add APP --tenant consumers`), ou changez les types de comptes pris en charge.",
        ),
    ),
    row(
        "tenant-not-found",
        Who::AppOwner,
        &[90002, 900382, 900432, 90038],
        w("There is no such tenant in this cloud.", "Ce locataire n’existe pas dans ce cloud."),
        w(
            "Check the directory (tenant) ID and the cloud (--cloud) the app was added with.",
            "Vérifiez l’identifiant de l’annuaire (locataire) et le cloud (--cloud) donnés à l’ajout de l’application.",
        ),
    ),
    row(
        "tenant-not-concrete",
        Who::AppOwner,
        &[9001023, 50059],
        w(
            "An app signs in for itself only in one named directory, not in common, organizations or consumers.",
            "Une application ne se connecte pour elle-même que dans un annuaire nommé, et non dans common, organizations ou consumers.",
        ),
        w(
            "Give the directory (tenant) ID or a verified domain (`rebond app add APP --tenant ID`).",
            "Donnez l’identifiant de l’annuaire (locataire) ou un domaine vérifié (`rebond app add APP --tenant ID`).",
        ),
    ),
    row(
        "client-refused",
        Who::AppOwner,
        &[70001, 700016, 7000112],
        w(
            "The directory does not know this app, or it is disabled there.",
            "L’annuaire ne connaît pas cette application, ou elle y est désactivée.",
        ),
        w(
            "Compare the Application (client) ID, the tenant and the cloud with the registration's Overview; in another organisation than its own, an administrator consents first.",
            "Comparez l’ID d’application (client), le locataire et le cloud avec la vue d’ensemble de l’inscription ; hors de son organisation, un administrateur doit d’abord consentir.",
        ),
    ),
    row(
        "permission-list",
        Who::AppOwner,
        &[65005, 65006, 650056, 650057],
        w(
            "The registration lacks the permission we ask for, or lists one that does not exist.",
            "Il manque à l’inscription l’autorisation que nous demandons, ou elle en liste une qui n’existe pas.",
        ),
        w(
            "Under API permissions add IMAP.AccessAsUser.All (a person signs in) or IMAP.AccessAsApp (the app itself) of Office 365 Exchange Online; `rebond kit {account} --az` prints the calls.",
            "Sous Autorisations API, ajoutez IMAP.AccessAsUser.All (une personne se connecte) ou IMAP.AccessAsApp (l’application elle-même) d’Office 365 Exchange Online ; `rebond kit {account} --az` affiche les appels.",
        ),
    ),
    row(
        "no-exchange",
        Who::Administrator,
        &[650052],
        w("The organisation has no Exchange Online.", "L’organisation n’a pas Exchange Online."),
        w(
            "Give the mailbox an Exchange Online plan, or name the right tenant.",
            "Attribuez à la boîte une offre Exchange Online, ou indiquez le bon locataire.",
        ),
    ),
    row(
        "scope-refused",
        Who::AppOwner,
        &[650053],
        w(
            "A permission we asked for does not exist on that resource.",
            "Une autorisation demandée n’existe pas sur cette ressource.",
        ),
        w(
            "Check the app's cloud; the permission is called IMAP.AccessAsUser.All (not IMAP.AccessUser.All).",
            "Vérifiez le cloud de l’application ; l’autorisation s’appelle IMAP.AccessAsUser.All (et non IMAP.AccessUser.All).",
        ),
    ),
    row(
        "several-resources",
        Who::Operator,
        &[70011, 28000, 700022],
        w(
            "The scopes are malformed, or belong to several resources: one token is for one resource.",
            "Les étendues sont mal formées, ou appartiennent à plusieurs ressources : un jeton ne vaut que pour une ressource.",
        ),
        w(
            "Check the app's cloud (--cloud); Rebond never asks for Outlook and Graph at once, so report it with the trace ID if the cloud is right.",
            "Vérifiez le cloud de l’application (--cloud) ; Rebond ne demande jamais Outlook et Graph à la fois : si le cloud est le bon, signalez-le avec l’identifiant de trace.",
        ),
    ),
    row(
        "public-client",
        Who::AppOwner,
        &[700025],
        w(
            "The redirect URI is registered for a public client, which has no secret.",
            "L’URI de redirection est inscrite pour un client public, qui n’a pas de secret.",
        ),
        w("Register {redirect_uri} under the platform Web.", "Inscrivez {redirect_uri} sous la plateforme Web."),
    ),
    row(
        "client-secret-wrong",
        Who::AppOwner,
        &[7000215],
        w(
            "The client secret is wrong; most often the secret's ID was pasted in place of its value.",
            "Le secret client est faux ; le plus souvent, l’ID du secret a été collé à la place de sa valeur.",
        ),
        w(
            "Under Certificates & secrets make a new one and copy the column Value, then `rebond app secret APP`.",
            "Sous Certificats et secrets, créez-en un et copiez la colonne Valeur, puis `rebond app secret APP`.",
        ),
    ),
    row(
        "client-secret-missing",
        Who::AppOwner,
        &[7000218],
        w(
            "The app must prove itself, and nothing was sent to do so.",
            "L’application doit s’authentifier, et rien n’a été envoyé pour cela.",
        ),
        w(
            "Store a client secret with `rebond app secret APP`.",
            "Enregistrez un secret client avec `rebond app secret APP`.",
        ),
    ),
    row(
        "client-secret-expired",
        Who::AppOwner,
        &[7000222],
        w("The client secret has expired.", "Le secret client a expiré."),
        w(
            "Make a new one in the Entra admin center under App registrations, Certificates & secrets; then `rebond app secret APP`. A certificate or a federated credential does not run out so soon.",
            "Créez-en un dans le centre d’administration Entra sous Inscriptions d’applications, Certificats et secrets ; puis `rebond app secret APP`. Un certificat ou un identifiant fédéré n’expire pas si tôt.",
        ),
    ),
    row(
        "credential-ends-soon",
        Who::AppOwner,
        &[],
        w(
            "The app's client secret or certificate ends soon.",
            "Le secret client ou le certificat de l’application expire bientôt.",
        ),
        w(
            "Make a new one under Certificates & secrets beside the old one, then `rebond app secret APP`; after that the old one can go.",
            "Créez-en un nouveau sous Certificats et secrets à côté de l’ancien, puis `rebond app secret APP` ; l’ancien peut ensuite disparaître.",
        ),
    ),
    row(
        "client-unproven",
        Who::AppOwner,
        &[],
        w("The app could not prove who it is.", "L’application n’a pas pu prouver son identité."),
        w(
            "Compare its client ID with the registration. By a secret: store a new one with `rebond app secret APP`. By a certificate or a federated token: check that it is ours, and that whatever writes the token file renews it.",
            "Comparez son ID client avec l’inscription. Avec un secret : enregistrez-en un nouveau avec `rebond app secret APP`. Avec un certificat ou un jeton fédéré : vérifiez que c’est le nôtre, et que le fichier du jeton est bien renouvelé.",
        ),
    ),
    row(
        "client-certificate",
        Who::AppOwner,
        &[700027],
        w(
            "The assertion's signature fits no certificate of the registration.",
            "La signature de l’assertion ne correspond à aucun certificat de l’inscription.",
        ),
        w(
            "Under Certificates & secrets compare the certificate's thumbprint with the one named below, and upload ours if it is missing.",
            "Sous Certificats et secrets, comparez l’empreinte du certificat avec celle indiquée ci-dessous, et ajoutez le nôtre s’il manque.",
        ),
    ),
    row(
        "client-assertion",
        Who::AppOwner,
        &[70021, 700211, 700212, 700213, 7002137],
        w(
            "No federated credential of the registration matches issuer, subject and audience of our token.",
            "Aucun identifiant fédéré de l’inscription ne correspond à l’émetteur, au sujet et à l’audience de notre jeton.",
        ),
        w(
            "Compare the three, as they stand below, letter by letter with the credential; a new credential can need some minutes.",
            "Comparez les trois, tels qu’indiqués ci-dessous, lettre par lettre avec l’identifiant ; un nouvel identifiant peut demander quelques minutes.",
        ),
    ),
    row(
        "client-assertion-case",
        Who::AppOwner,
        &[7002138],
        w(
            "A federated credential matches our token only if upper and lower case are taken as the same, and Entra does not.",
            "Un identifiant fédéré ne correspond à notre jeton que si majuscules et minuscules se valent, ce qu’Entra n’admet pas.",
        ),
        w(
            "Write issuer, subject and audience of the credential exactly as they stand below.",
            "Écrivez l’émetteur, le sujet et l’audience de l’identifiant exactement comme ci-dessous.",
        ),
    ),
    row(
        "client-assertion-audience",
        Who::AppOwner,
        &[700021, 700023],
        w(
            "The certificate's assertion names another app or another endpoint than the one it was sent to.",
            "L’assertion du certificat désigne une autre application ou un autre point de terminaison que celui qui l’a reçue.",
        ),
        w(
            "Compare the audience below with the login host of the app's cloud (--cloud): a proxy that answers under another name needs the provider's own. Compare the subject with the Application (client) ID.",
            "Comparez l’audience ci-dessous avec l’hôte de connexion du cloud de l’application (--cloud) : un proxy qui répond sous un autre nom doit porter celui du fournisseur. Comparez le sujet avec l’ID d’application (client).",
        ),
    ),
    row(
        "client-assertion-time",
        Who::Operator,
        &[700024],
        w(
            "The assertion that proves our app is outside its valid time.",
            "L’assertion qui prouve notre application est en dehors de sa période de validité.",
        ),
        w(
            "Compare the times below with the clock of this machine; where a file holds the app's token (federated-token-file), check that somebody keeps it fresh.",
            "Comparez les heures ci-dessous avec l’horloge de cette machine ; si un fichier contient le jeton de l’application (federated-token-file), vérifiez qu’il est renouvelé.",
        ),
    ),
    row(
        "app-may-not",
        Who::AppOwner,
        &[],
        w(
            "The app may not use this way to sign in.",
            "L’application n’a pas le droit de se connecter de cette manière.",
        ),
        w(
            "Check its platform (Web), its supported account types and, for a terminal without a browser, \"Allow public client flows\".",
            "Vérifiez sa plateforme (Web), ses types de comptes pris en charge et, pour un terminal sans navigateur, « Autoriser les flux clients publics ».",
        ),
    ),
];
