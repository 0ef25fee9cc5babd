//! Refusals of the identity provider. Numbers and meanings: Microsoft, "Microsoft Entra authentication and
//! authorization error codes"; errors: RFC 6749 §4.1.2.1 and §5.2.

use super::{Advice, Who, Words};

const fn row(id: &'static str, who: Who, aadsts: &'static [u32], means: Words, step: Words) -> Advice {
    Advice { id, who, aadsts, means, step }
}

const fn w(en: &'static str, fr: &'static str) -> Words {
    Words { en, fr }
}

/// The row that names an OAuth error when no number says more.
pub(super) fn id_of_error(error: &str) -> &'static str {
    match error {
        "invalid_grant" => "grant-refused",
        "interaction_required" | "login_required" => "sign-in-again",
        "consent_required" => "consent-missing",
        "access_denied" => "declined",
        "invalid_client" | "unauthorized_client" => "client-refused",
        "invalid_scope" | "invalid_resource" => "scope-refused",
        "invalid_request" | "unsupported_grant_type" | "unsupported_response_type" => "request-refused",
        "temporarily_unavailable" | "server_error" => "provider-busy",
        _ => "provider-unknown",
    }
}

pub(super) const UNKNOWN: Advice = row(
    "provider-unknown",
    Who::Operator,
    &[],
    w(
        "The identity provider refused for a reason we do not know.",
        "Le fournisseur d’identité a refusé pour une raison inconnue.",
    ),
    w(
        "Read its words below; with the correlation ID an administrator finds the attempt in the sign-in log.",
        "Lisez sa réponse ci-dessous ; avec l’identifiant de corrélation, un administrateur retrouve la tentative dans le journal des connexions.",
    ),
);

pub(super) const ROWS: &[Advice] = &[
    UNKNOWN,
    row(
        "redirect-uri-mismatch",
        Who::AppOwner,
        &[50011],
        w(
            "The registration does not list our redirect URI.",
            "L’inscription ne contient pas notre URI de redirection.",
        ),
        w(
            "Under Authentication, platform Web, add exactly {redirect_uri}.",
            "Sous Authentification, plateforme Web, ajoutez exactement {redirect_uri}.",
        ),
    ),
    row(
        "other-tenant",
        Who::Person,
        &[50020],
        w(
            "Whoever signed in belongs to another organisation than the app.",
            "La personne connectée appartient à une autre organisation que l’application.",
        ),
        w(
            "Sign in with an account of the mailbox's own organisation, or register the app for several organisations.",
            "Connectez-vous avec un compte de l’organisation de la boîte, ou inscrivez l’application pour plusieurs organisations.",
        ),
    ),
    row(
        "account-not-found",
        Who::Person,
        &[50034],
        w("The directory knows no such account.", "L’annuaire ne connaît pas ce compte."),
        w(
            "Check the sign-in name: an alias of the mailbox is not always one.",
            "Vérifiez le nom de connexion : un alias de la boîte n’en est pas toujours un.",
        ),
    ),
    row(
        "account-locked",
        Who::Administrator,
        &[50053],
        w(
            "The account is locked, or the sign-in came from an address rated as malicious.",
            "Le compte est verrouillé, ou la connexion vient d’une adresse jugée malveillante.",
        ),
        w(
            "Wait, or unlock it in the Entra admin centre.",
            "Attendez, ou déverrouillez-le dans le centre d’administration Entra.",
        ),
    ),
    row(
        "password-expired",
        Who::Person,
        &[50055, 50126],
        w("The password is wrong or has expired.", "Le mot de passe est faux ou a expiré."),
        w("Change it, then connect again.", "Changez-le, puis reconnectez-vous."),
    ),
    row(
        "account-disabled",
        Who::Administrator,
        &[50057],
        w(
            "The account is disabled; a shared mailbox's own account is so by design.",
            "Le compte est désactivé ; celui d’une boîte partagée l’est par conception.",
        ),
        w(
            "Sign in as a person who has full access to the shared mailbox, not as the mailbox.",
            "Connectez-vous comme une personne ayant un accès complet à la boîte partagée, et non comme la boîte.",
        ),
    ),
    row(
        "sign-in-again",
        Who::Person,
        &[50058, 50072, 50074, 50076, 50078, 50079, 50132, 50133, 50173],
        w(
            "The organisation wants a fresh sign-in (a second factor, a changed password, a revoked session).",
            "L’organisation demande une nouvelle connexion (second facteur, mot de passe changé, session révoquée).",
        ),
        w(
            "Run `rebond connect {account}` and sign in once more.",
            "Lancez `rebond connect {account}` et reconnectez-vous une fois.",
        ),
    ),
    row(
        "device-policy",
        Who::Administrator,
        &[50097, 53000, 53001, 53002],
        w(
            "A policy asks for a managed device, which a server is not.",
            "Une règle exige un appareil géré, ce qu’un serveur n’est pas.",
        ),
        w(
            "Exclude this account from that Conditional Access policy.",
            "Excluez ce compte de cette règle d’accès conditionnel.",
        ),
    ),
    row(
        "not-assigned",
        Who::Administrator,
        &[50105],
        w(
            "The app is open only to people who are assigned to it.",
            "L’application n’est ouverte qu’aux personnes qui lui sont affectées.",
        ),
        w(
            "Enterprise applications, Users and groups: assign this account; or set \"Assignment required\" to No.",
            "Applications d’entreprise, Utilisateurs et groupes : affectez ce compte ; ou réglez « Affectation requise » sur Non.",
        ),
    ),
    row(
        "our-request",
        Who::Operator,
        &[50147, 501481, 50196, 900144, 9002313, 54005],
        w(
            "The sign-in was answered twice, or from a stale tab, or our request was malformed.",
            "La connexion a reçu deux réponses, ou vient d’un ancien onglet, ou notre requête était mal formée.",
        ),
        w(
            "Open the link once more; if it happens again, report it with the trace ID.",
            "Rouvrez le lien ; si cela se répète, signalez-le avec l’identifiant de trace.",
        ),
    ),
    row(
        "single-tenant",
        Who::AppOwner,
        &[50194, 9002332],
        w(
            "The app is registered for other accounts than the endpoint we were told to use.",
            "L’application est inscrite pour d’autres comptes que le point d’accès indiqué.",
        ),
        w(
            "Give the app's own directory (tenant) ID in `rebond app add --tenant`, or change the supported account types.",
            "Donnez l’identifiant de l’annuaire (locataire) de l’application à `rebond app add --tenant`, ou changez les types de comptes pris en charge.",
        ),
    ),
    row(
        "conditional-access",
        Who::Administrator,
        &[53003, 530035],
        w(
            "Conditional Access or security defaults blocked the sign-in.",
            "L’accès conditionnel ou les paramètres de sécurité par défaut ont bloqué la connexion.",
        ),
        w(
            "Find the attempt in the sign-in log by its correlation ID and exclude this account from the policy named there.",
            "Retrouvez la tentative dans le journal des connexions par son identifiant de corrélation et excluez ce compte de la règle indiquée.",
        ),
    ),
    row(
        "consent-missing",
        Who::Administrator,
        &[65001],
        w("Nobody has consented to the permission yet.", "Personne n’a encore consenti à l’autorisation."),
        w(
            "Run `rebond connect {account}` and accept, or let an administrator grant it under API permissions.",
            "Lancez `rebond connect {account}` et acceptez, ou laissez un administrateur l’accorder sous Autorisations API.",
        ),
    ),
    row(
        "declined",
        Who::Person,
        &[65004],
        w("The permission was declined.", "L’autorisation a été refusée."),
        w(
            "Open the link again and accept; nothing was connected and nothing was kept.",
            "Rouvrez le lien et acceptez ; rien n’a été connecté ni conservé.",
        ),
    ),
    row(
        "admin-consent-required",
        Who::Administrator,
        &[90094, 90095],
        w(
            "This organisation lets only an administrator consent to reading mail (Microsoft's default since 2025).",
            "Dans cette organisation, seul un administrateur peut consentir à la lecture du courrier (règle par défaut de Microsoft depuis 2025).",
        ),
        w(
            "An administrator grants it under Enterprise applications, Permissions; then open the link again.",
            "Un administrateur l’accorde sous Applications d’entreprise, Autorisations ; rouvrez ensuite le lien.",
        ),
    ),
    row(
        "permission-list",
        Who::AppOwner,
        &[65005, 65006, 650056, 650057],
        w(
            "The registration lacks the permission we ask for.",
            "Il manque à l’inscription l’autorisation que nous demandons.",
        ),
        w(
            "Under API permissions add Office 365 Exchange Online (or Microsoft Graph), delegated, IMAP.AccessAsUser.All.",
            "Sous Autorisations API, ajoutez Office 365 Exchange Online (ou Microsoft Graph), déléguée, IMAP.AccessAsUser.All.",
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
        &[650053, 70011, 28000, 700022],
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
        "grant-refused",
        Who::Person,
        &[70000],
        w("The grant is no longer accepted.", "L’accord n’est plus accepté."),
        w(
            "Run `rebond connect {account}` and sign in once more.",
            "Lancez `rebond connect {account}` et reconnectez-vous une fois.",
        ),
    ),
    row(
        "grant-expired",
        Who::Person,
        &[70008, 700082],
        w(
            "The grant lapsed: it was not used for its whole idle time (90 days at Entra).",
            "L’accord a expiré : il n’a pas servi pendant toute sa durée d’inactivité (90 jours chez Entra).",
        ),
        w(
            "Run `rebond connect {account}` and sign in once more; keep the account enabled so that it is renewed.",
            "Lancez `rebond connect {account}` et reconnectez-vous une fois ; laissez le compte activé pour qu’il soit renouvelé.",
        ),
    ),
    row(
        "grant-of-spa",
        Who::AppOwner,
        &[700084],
        w(
            "The redirect URI is registered as a single-page application: its grants live 24 hours.",
            "L’URI de redirection est inscrite comme application monopage : ses accords durent 24 heures.",
        ),
        w(
            "Move {redirect_uri} to the platform Web, then connect again.",
            "Déplacez {redirect_uri} vers la plateforme Web, puis reconnectez-vous.",
        ),
    ),
    row(
        "sign-in-frequency",
        Who::Administrator,
        &[70043],
        w(
            "A sign-in frequency policy ended the grant, and will again.",
            "Une règle de fréquence de connexion a mis fin à l’accord, et le refera.",
        ),
        w(
            "Exclude this account from the policy, then connect again.",
            "Excluez ce compte de la règle, puis reconnectez-vous.",
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
            "Compare the Application (client) ID, the tenant and the cloud with the registration's Overview.",
            "Comparez l’ID d’application (client), le locataire et le cloud avec la vue d’ensemble de l’inscription.",
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
            "Under Certificates & secrets make a new one and copy the column Value, then `rebond app secret`.",
            "Sous Certificats et secrets, créez-en un et copiez la colonne Valeur, puis `rebond app secret`.",
        ),
    ),
    row(
        "client-secret-missing",
        Who::AppOwner,
        &[7000218],
        w(
            "The app must prove itself, and no secret was sent.",
            "L’application doit s’authentifier, et aucun secret n’a été envoyé.",
        ),
        w("Store one with `rebond app secret`.", "Enregistrez-en un avec `rebond app secret`."),
    ),
    row(
        "client-secret-expired",
        Who::AppOwner,
        &[7000222],
        w("The client secret has expired.", "Le secret client a expiré."),
        w(
            "Make a new one under Certificates & secrets, then `rebond app secret`.",
            "Créez-en un sous Certificats et secrets, puis `rebond app secret`.",
        ),
    ),
    row(
        "client-assertion",
        Who::AppOwner,
        &[700027, 70021, 700211, 700212, 700213, 7002137, 7002138],
        w(
            "The assertion does not match the certificate or federated credential of the registration.",
            "L’assertion ne correspond pas au certificat ou à l’identifiant fédéré de l’inscription.",
        ),
        w(
            "Compare issuer, subject and audience letter by letter: case counts.",
            "Comparez émetteur, sujet et audience lettre par lettre : la casse compte.",
        ),
    ),
    row(
        "tenant-not-found",
        Who::AppOwner,
        &[90002, 9001023, 900382, 900432, 90038],
        w("There is no such tenant in this cloud.", "Ce locataire n’existe pas dans ce cloud."),
        w(
            "Check the directory (tenant) ID and the cloud of the app.",
            "Vérifiez l’identifiant de l’annuaire (locataire) et le cloud de l’application.",
        ),
    ),
    row(
        "provider-busy",
        Who::Nobody,
        &[90006, 90024, 90033, 50033, 50087, 90055],
        w("The identity provider is busy or out of order.", "Le fournisseur d’identité est surchargé ou en panne."),
        w(
            "Nothing is lost; the next scheduled run tries again.",
            "Rien n’est perdu ; la prochaine exécution planifiée réessaiera.",
        ),
    ),
    row(
        "request-refused",
        Who::Operator,
        &[],
        w(
            "The identity provider did not accept our request.",
            "Le fournisseur d’identité n’a pas accepté notre requête.",
        ),
        w(
            "Compare the app's settings with the registration; report it with the trace ID if they agree.",
            "Comparez les réglages de l’application avec l’inscription ; s’ils concordent, signalez-le avec l’identifiant de trace.",
        ),
    ),
    row(
        "provider-unreachable",
        Who::Nobody,
        &[],
        w("The identity provider was not reached.", "Le fournisseur d’identité n’a pas été joint."),
        w(
            "The next scheduled run tries again; if it lasts, check that this deployment reaches the login host.",
            "La prochaine exécution planifiée réessaiera ; si cela dure, vérifiez que ce déploiement atteint l’hôte de connexion.",
        ),
    ),
    row(
        "provider-nonsense",
        Who::Nobody,
        &[],
        w(
            "The identity provider answered with something that is no token answer.",
            "Le fournisseur d’identité a répondu par autre chose qu’une réponse de jeton.",
        ),
        w(
            "The next scheduled run tries again; a proxy in between may be answering in its place.",
            "La prochaine exécution planifiée réessaiera ; un proxy répond peut-être à sa place.",
        ),
    ),
    row(
        "wrong-person",
        Who::Person,
        &[],
        w(
            "Somebody else signed in than the person who connected this account before.",
            "Une autre personne s’est connectée que celle qui avait connecté ce compte.",
        ),
        w(
            "Sign in as that person; to hand the account over, run `rebond account disconnect {account}` first.",
            "Connectez-vous comme cette personne ; pour céder le compte, lancez d’abord `rebond account disconnect {account}`.",
        ),
    ),
    row(
        "not-who-signed-in",
        Who::Person,
        &[],
        w(
            "The answer does not prove who signed in, or names another organisation.",
            "La réponse ne prouve pas qui s’est connecté, ou désigne une autre organisation.",
        ),
        w(
            "Open the link again and sign in with an account of the organisation the app was registered for.",
            "Rouvrez le lien et connectez-vous avec un compte de l’organisation pour laquelle l’application est inscrite.",
        ),
    ),
    row(
        "no-refresh-token",
        Who::AppOwner,
        &[],
        w(
            "The provider gave no refresh token, so the connection would end within the hour.",
            "Le fournisseur n’a pas donné de jeton d’actualisation : la connexion cesserait dans l’heure.",
        ),
        w(
            "Allow the permission offline_access, then open the link again.",
            "Autorisez offline_access, puis rouvrez le lien.",
        ),
    ),
    row(
        "superseded",
        Who::Nobody,
        &[],
        w(
            "Somebody connected this account at the same time; theirs is kept.",
            "Quelqu’un a connecté ce compte en même temps ; sa connexion est conservée.",
        ),
        w("There is nothing to do.", "Il n’y a rien à faire."),
    ),
    row(
        "our-store",
        Who::Operator,
        &[],
        w(
            "Our own table or vault did not answer, so nothing was kept.",
            "Notre table ou notre coffre n’a pas répondu : rien n’a été conservé.",
        ),
        w(
            "Open the link again in a few minutes; the log names the fault.",
            "Rouvrez le lien dans quelques minutes ; le journal indique la panne.",
        ),
    ),
];
