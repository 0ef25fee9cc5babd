#!/bin/sh
# Brings the app registration into the form that Rebond needs, by the Azure CLI.
# Printed by `rebond kit {{account}} --az`. Read it, sign in with `az login --tenant {{tenant.comment}}`, then run it.
# An empty APP_ID makes a new registration:  APP_ID= sh registration.sh
set -eu
{{cloud}}
APP_ID=${APP_ID-{{client_id}}}
REDIRECT_URI={{redirect_uri}}

# 1. The registration: one organisation, platform Web, no implicit grant. Other redirect URIs under Web are replaced:
#    name those that you still need behind ours.
if [ -z "$APP_ID" ]; then
    APP_ID=$(az ad app create --display-name {{name}} --sign-in-audience AzureADMyOrg --query appId --output tsv)
fi
az ad app update --id "$APP_ID" --web-redirect-uris "$REDIRECT_URI" \
    --enable-access-token-issuance false --enable-id-token-issuance false

# 2. Permissions.
{{permissions}}

# 3. The enterprise application, and the administrator's consent to what stands above.
az ad sp show --id "$APP_ID" --output none 2>/dev/null || az ad sp create --id "$APP_ID" --output none
az ad app permission admin-consent --id "$APP_ID"

# 4. How the app proves itself.
{{credential}}

# Verify. These only read.
az ad app show --id "$APP_ID" > manifest.json
az ad app permission list --id "$APP_ID" --output table
az ad app federated-credential list --id "$APP_ID" --output table
echo "Object ID of the enterprise application: $(az ad sp show --id "$APP_ID" --query id --output tsv)"
echo "Next: rebond lint {{app}} --manifest manifest.json"
