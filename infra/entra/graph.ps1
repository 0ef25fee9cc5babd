# Lets the app {{client_id.comment}} read {{count}} through Microsoft Graph, with nobody signing in, and no other mailbox.
# Printed by `rebond kit {{account}}`. Read it, then run it in PowerShell as an Exchange administrator:
#   Install-Module ExchangeOnlineManagement -Scope CurrentUser    (once)
#   Install-Module Microsoft.Graph.Applications -Scope CurrentUser    (once)
# Running it a second time changes nothing.
#
# It uses RBAC for Applications: the right is Exchange's, for these mailboxes alone. Do NOT grant {{permission}} of Microsoft
# Graph ({{permission_id}}) in Entra beside it: that one is for every mailbox, and the wider one wins.

$ErrorActionPreference = 'Stop'
$AppId     = {{client_id}}
$Mailboxes = @({{mailboxes}})
$Name      = {{name}}

# 1. Exchange wants the Object ID of the ENTERPRISE APPLICATION (Entra admin centre, Enterprise applications, this app,
#    Overview, Object ID), not the one on the page of the app registration.
{{object_id}}
if (-not $ObjectId) { throw "Enterprise application of $AppId not found: create it with New-MgServicePrincipal -AppId $AppId." }

Connect-ExchangeOnline{{environment}}

$Known = Get-ServicePrincipal | Where-Object { $_.AppId -eq $AppId }
if ($Known -and $Known.ObjectId -ne $ObjectId) {
    # Made with the wrong Object ID: only making it anew mends that.
    Remove-ServicePrincipal -Identity $Known.Identity -Confirm:$false
    $Known = $null
}
if (-not $Known) {
    New-ServicePrincipal -AppId $AppId -ObjectId $ObjectId -DisplayName $Name | Out-Null
}
$Principal = Get-ServicePrincipal | Where-Object { $_.AppId -eq $AppId }

# 2. The scope: just these mailboxes.
$Scope = {{scope}}
if (-not (Get-ManagementScope | Where-Object { $_.Name -eq $Scope })) {
    New-ManagementScope -Name $Scope -RecipientRestrictionFilter {{filter}} | Out-Null
} else {
    Set-ManagementScope -Identity $Scope -RecipientRestrictionFilter {{filter}}
}

# 3. The role within the scope: reading, and marking, moving or deleting what was read.
$Role = 'Application {{permission}}'
$Assigned = Get-ManagementRoleAssignment -RoleAssignee $Principal.Identity -ErrorAction SilentlyContinue
if (-not ($Assigned | Where-Object { $_.Role -eq $Role -and $_.CustomResourceScope -eq $Scope })) {
    New-ManagementRoleAssignment -App $ObjectId -Role $Role -CustomResourceScope $Scope | Out-Null
}

# Verify. These only read. (A change can take from half an hour to two hours to be felt.)
foreach ($Mailbox in $Mailboxes) {
    Test-ServicePrincipalAuthorization -Identity $Principal.Identity -Resource $Mailbox | Format-Table RoleName, AllowedResourceScope, InScope
}
