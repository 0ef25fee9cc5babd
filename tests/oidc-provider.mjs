// node oidc-provider.mjs MODULE PORT CLIENT_ID CLIENT_SECRET REDIRECT_URI
// Code with PKCE, refresh tokens that rotate (a replay revokes the family), introspection, on Entra's paths.
import { pathToFileURL } from 'node:url';

const [module, port, clientId, clientSecret, redirectUri] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(module));
const mail = ['IMAP', 'POP'].map((protocol) => `https://outlook.office.com/${protocol}.AccessAsUser.All`);
const days = 86400;

const provider = new Provider(`http://localhost:${port}`, {
  clients: [
    {
      client_id: clientId,
      client_secret: clientSecret,
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_post',
      application_type: 'native', // lets http://localhost be a redirect URI
    },
    {
      client_id: 'dovecot',
      client_secret: 'dovecot-secret-0123456789',
      redirect_uris: [],
      grant_types: [],
      response_types: [],
      token_endpoint_auth_method: 'client_secret_basic',
    },
  ],
  scopes: ['openid', 'offline_access', 'email', 'profile', ...mail],
  claims: { openid: ['sub', 'tid', 'oid'], email: ['email'], profile: ['preferred_username'] },
  conformIdTokenClaims: false,
  findAccount: async (_, id) => ({
    accountId: id,
    claims: async () => ({
      sub: id,
      email: id,
      preferred_username: id,
      tid: '11111111-2222-4333-8444-555555555555',
      oid: '66666666-7777-4888-9999-aaaaaaaaaaaa',
    }),
  }),
  features: {
    introspection: { enabled: true, allowedPolicy: async () => true },
    revocation: { enabled: true },
    devInteractions: { enabled: true },
  },
  pkce: { required: () => true },
  rotateRefreshToken: () => true,
  issueRefreshToken: async (_, __, code) => code.scopes.has('offline_access'),
  ttl: {
    AccessToken: 3600, IdToken: 3600, AuthorizationCode: 60, Interaction: 600,
    Session: 3600, RefreshToken: 90 * days, Grant: 90 * days,
  },
  routes: {
    authorization: '/common/oauth2/v2.0/authorize',
    token: '/common/oauth2/v2.0/token',
    jwks: '/common/discovery/v2.0/keys',
    introspection: '/introspect',
    revocation: '/revoke',
  },
  cookies: { keys: ['signs-the-cookies-of-a-test'] },
});
provider.on('server_error', (_, error) => console.error(error));
provider.listen(Number(port), 'localhost');
