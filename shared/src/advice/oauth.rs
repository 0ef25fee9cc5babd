//! Refusals of the identity provider that concern who signs in, what they consented to, and our way of asking. Numbers and
//! meanings: Microsoft, "Microsoft Entra authentication and authorization error codes".

use super::{Advice, Who, numbered as row, w};

/// The row that names a refusal when no number says more: by `suberror`, or else by `error` (RFC 6749 §4.1.2.1 and §5.2,
/// RFC 8628 §3.5, RFC 8707 §2, OpenID Connect Core §3.1.2.6; suberrors: Microsoft, "Handle errors and exceptions in MSAL").
pub(super) fn id_of_error(error: &str, suberror: Option<&str>) -> &'static str {
    match suberror {
        Some("consent_required") => return "consent-missing",
        Some("message_only" | "additional_action" | "protection_policy_required") => return "policy-blocks",
        Some("device_authentication_failed") => return "device-policy",
        Some("user_password_expired") => return "password-expired",
        _ => {}
    }
    match error {
        "invalid_grant" => "grant-refused",
        "interaction_required" | "login_required" | "account_selection_required" => "sign-in-again",
        "consent_required" => "consent-missing",
        "access_denied" | "authorization_declined" => "declined",
        "permission_denied" => "admin-consent-required",
        "invalid_client" => "client-unproven",
        "unauthorized_client" => "app-may-not",
        "invalid_scope" | "insufficient_scope" => "scope-refused",
        "invalid_resource" | "invalid_target" => "permission-list",
        "authorization_pending" | "slow_down" => "device-code-waiting",
        "expired_token" | "code_expired" | "bad_verification_code" => "device-code-ended",
        "invalid_request"
        | "unsupported_grant_type"
        | "unsupported_response_type"
        | "invalid_request_uri"
        | "invalid_request_object"
        | "request_not_supported" => "request-refused",
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
        &[50011, 500112],
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
            "Sign in with an account of the mailbox's own organisation; or have that account invited as a guest, or the app registered for several organisations.",
            "Connectez-vous avec un compte de l’organisation de la boîte ; ou faites inviter ce compte, ou inscrire l’application pour plusieurs organisations.",
        ),
    ),
    row(
        "account-not-found",
        Who::Person,
        &[50034],
        w("The directory knows no such account.", "L’annuaire ne connaît pas ce compte."),
        w(
            "Check the sign-in name and the tenant: an alias of the mailbox is not always a sign-in name.",
            "Vérifiez le nom de connexion et le locataire : un alias de la boîte n’est pas toujours un nom de connexion.",
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
            "Wait, or unlock it in the Entra admin centre; an address that many share, as a cloud's, may be rated for what others did.",
            "Attendez, ou déverrouillez-le dans le centre d’administration Entra ; une adresse partagée, comme celle d’un cloud, peut être jugée sur les actes d’autrui.",
        ),
    ),
    row(
        "password-expired",
        Who::Person,
        &[50055],
        w("The password has expired.", "Le mot de passe a expiré."),
        w(
            "Change it, then run `rebond connect {account}` and sign in once more.",
            "Changez-le, puis lancez `rebond connect {account}` et reconnectez-vous une fois.",
        ),
    ),
    row(
        "password-wrong",
        Who::Person,
        &[50126],
        w(
            "User name and password do not belong together.",
            "Le nom d’utilisateur et le mot de passe ne vont pas ensemble.",
        ),
        w(
            "Sign in on the organisation's own page; whose sign-in page is elsewhere (a federated account) has no password here.",
            "Connectez-vous sur la page de l’organisation ; un compte fédéré, dont la page de connexion est ailleurs, n’a pas de mot de passe ici.",
        ),
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
            "Sign in as a person who has full access to the shared mailbox, or let the app read the mailbox itself, with nobody signing in (`rebond kit {account}`).",
            "Connectez-vous comme une personne ayant un accès complet à la boîte partagée, ou laissez l’application lire la boîte elle-même, sans que personne se connecte (`rebond kit {account}`).",
        ),
    ),
    row(
        "sign-in-again",
        Who::Person,
        &[50058],
        w(
            "The identity provider wants the person to sign in again.",
            "Le fournisseur d’identité demande une nouvelle connexion.",
        ),
        w(
            "Run `rebond connect {account}` and sign in once more.",
            "Lancez `rebond connect {account}` et reconnectez-vous une fois.",
        ),
    ),
    row(
        "second-factor",
        Who::Person,
        &[50072, 50074, 50076, 50078, 50079],
        w(
            "The organisation wants a second factor, or wants one to be registered.",
            "L’organisation demande un second facteur, ou l’inscription d’un second facteur.",
        ),
        w(
            "Run `rebond connect {account}` and sign in once with it; for a mailbox that nobody watches, let the app read the mailbox itself, with nobody signing in (`rebond kit {account}`).",
            "Lancez `rebond connect {account}` et connectez-vous une fois avec lui ; pour une boîte que personne ne surveille, laissez l’application lire la boîte elle-même, sans que personne se connecte (`rebond kit {account}`).",
        ),
    ),
    row(
        "session-ended",
        Who::Person,
        &[50132, 50133, 50173],
        w(
            "The session was ended: a password was changed, or an administrator revoked it.",
            "La session a pris fin : un mot de passe a changé, ou un administrateur l’a révoquée.",
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
            "A policy asks for a managed device or an approved app, which a server is not.",
            "Une règle exige un appareil géré ou une application approuvée, ce qu’un serveur n’est pas.",
        ),
        w(
            "Exclude this account from that Conditional Access policy, or let the app read the mailbox itself, with nobody signing in (`rebond kit {account}`).",
            "Excluez ce compte de cette règle d’accès conditionnel, ou laissez l’application lire la boîte elle-même, sans que personne se connecte (`rebond kit {account}`).",
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
        "conditional-access",
        Who::Administrator,
        &[53003],
        w("Conditional Access blocked the sign-in.", "L’accès conditionnel a bloqué la connexion."),
        w(
            "Find the attempt in the sign-in log by its correlation ID, and in the policy named there exclude this account or allow the address we come from; or let the app read the mailbox itself, with nobody signing in (`rebond kit {account}`).",
            "Retrouvez la tentative dans le journal des connexions par son identifiant de corrélation et, dans la règle indiquée, excluez ce compte ou autorisez notre adresse ; ou laissez l’application lire la boîte elle-même, sans que personne se connecte (`rebond kit {account}`).",
        ),
    ),
    row(
        "security-defaults",
        Who::Administrator,
        &[530035],
        w("Security defaults blocked the sign-in.", "Les paramètres de sécurité par défaut ont bloqué la connexion."),
        w(
            "Sign in on the browser page with a second factor; security defaults allow no older way.",
            "Connectez-vous sur la page du navigateur avec un second facteur ; les paramètres par défaut n’admettent aucune manière plus ancienne.",
        ),
    ),
    row(
        "policy-blocks",
        Who::Administrator,
        &[],
        w(
            "A policy of the organisation forbids this, and signing in again would not help.",
            "Une règle de l’organisation l’interdit, et se reconnecter n’y changerait rien.",
        ),
        w(
            "Find the attempt in the sign-in log by its correlation ID: it names the policy.",
            "Retrouvez la tentative dans le journal des connexions par son identifiant de corrélation : il nomme la règle.",
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
            "Exclude this account from the policy and run `rebond connect {account}`, or let the app read the mailbox itself, with nobody signing in (`rebond kit {account}`).",
            "Excluez ce compte de la règle et lancez `rebond connect {account}`, ou laissez l’application lire la boîte elle-même, sans que personne se connecte (`rebond kit {account}`).",
        ),
    ),
    row(
        "consent-missing",
        Who::Administrator,
        &[65001],
        w(
            "Nobody has consented to the permission yet, or consent was withdrawn.",
            "Personne n’a encore consenti à l’autorisation, ou le consentement a été retiré.",
        ),
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
            "Open the link again and accept, or ask an administrator to consent; nothing was connected and nothing was kept.",
            "Rouvrez le lien et acceptez, ou demandez à un administrateur de consentir ; rien n’a été connecté ni conservé.",
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
            "Run `rebond connect {account}` and sign in once more, and keep the schedule of token-refresh running: it renews the grant in time.",
            "Lancez `rebond connect {account}` et reconnectez-vous une fois, et laissez tourner la planification de token-refresh : elle renouvelle l’accord à temps.",
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
            "Move {redirect_uri} to the platform Web, then run `rebond connect {account}`.",
            "Déplacez {redirect_uri} vers la plateforme Web, puis lancez `rebond connect {account}`.",
        ),
    ),
    row(
        "device-code-waiting",
        Who::Person,
        &[70016],
        w("The code was not entered yet.", "Le code n’a pas encore été saisi."),
        w(
            "Enter it on the page that was named, and sign in there.",
            "Saisissez-le sur la page indiquée et connectez-vous là-bas.",
        ),
    ),
    row(
        "device-code-ended",
        Who::Person,
        &[70018, 70019, 70020],
        w("The code is wrong, or its time is over.", "Le code est faux, ou son délai est passé."),
        w(
            "Run `rebond connect {account}` for a new one.",
            "Lancez `rebond connect {account}` pour en obtenir un nouveau.",
        ),
    ),
    row(
        "code-used",
        Who::Person,
        &[54005],
        w("This sign-in was answered twice.", "Cette connexion a reçu deux réponses."),
        w(
            "If the account is not connected already (`rebond account show {account}`), open the link once more.",
            "Si le compte n’est pas déjà connecté (`rebond account show {account}`), rouvrez le lien.",
        ),
    ),
    row(
        "stale-sign-in",
        Who::Operator,
        &[50147, 50148, 501481],
        w(
            "The answer belongs to another sign-in than the one that was begun, as a stale tab gives.",
            "La réponse appartient à une autre connexion que celle commencée, comme en donne un ancien onglet.",
        ),
        w(
            "Close the other tabs and open the link once more; if it happens again, report it with the trace ID.",
            "Fermez les autres onglets et rouvrez le lien ; si cela se répète, signalez-le avec l’identifiant de trace.",
        ),
    ),
    row(
        "asked-too-often",
        Who::Operator,
        &[50196],
        w("We asked for the same token over and over.", "Nous avons demandé le même jeton sans relâche."),
        w(
            "Stop this deployment's schedule and report it: a token is meant to be kept, not asked for again.",
            "Arrêtez la planification de ce déploiement et signalez-le : un jeton est fait pour être gardé, pas redemandé.",
        ),
    ),
    row(
        "our-request",
        Who::Operator,
        &[900144, 9002313],
        w("Our request was malformed.", "Notre requête était mal formée."),
        w(
            "Report it with the trace ID; trying again does not help.",
            "Signalez-le avec l’identifiant de trace ; réessayer ne sert à rien.",
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
            "Sign in as that person; to hand the account over, run `rebond forget {account}` first.",
            "Connectez-vous comme cette personne ; pour céder le compte, lancez d’abord `rebond forget {account}`.",
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
        "other-provider",
        Who::Operator,
        &[],
        w(
            "The answer names another identity provider than the one that was asked (RFC 9207, RFC 9700 §4.4): nothing of it was used.",
            "La réponse désigne un autre fournisseur d’identité que celui interrogé (RFC 9207, RFC 9700 §4.4) : rien n’en a été utilisé.",
        ),
        w(
            "Open the link again; if it happens again, somebody may be tampering with the sign-in.",
            "Rouvrez le lien ; si cela se répète, quelqu’un altère peut-être la connexion.",
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
