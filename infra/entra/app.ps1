# Lets the app {{client_id.comment}} read {{count}} over {{protocol}}, with nobody signing in, and no other mailbox.
# Printed by `rebond kit {{account}}`. Read it, then run it in PowerShell as an Exchange administrator:
#   Install-Module ExchangeOnlineManagement -Scope CurrentUser    (once)
#   Install-Module Microsoft.Graph.Applications -Scope CurrentUser    (once)
# Running it a second time changes nothing.
#
# Before it, under App registrations, API permissions: Office 365 Exchange Online, application permission
# {{permission}} ({{permission_id}}), and "Grant admin consent".

$ErrorActionPreference = 'Stop'
$AppId     = {{client_id}}
$Mailboxes = @({{mailboxes}})
$Name      = {{name}}

# 1. Exchange wants the Object ID of the ENTERPRISE APPLICATION (Entra admin centre, Enterprise applications, this app,
#    Overview, Object ID). The Object ID on the page of the APP REGISTRATION is another one: with it Exchange takes the
#    command, and answers every login with "User is authenticated but not connected".
{{object_id}}
if (-not $ObjectId) { throw "Enterprise application of $AppId not found: grant admin consent first, it is made then." }

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

# 2. {{permission}} opens a mailbox only where the app has full access: mailbox by mailbox.
foreach ($Mailbox in $Mailboxes) {
    Set-CASMailbox -Identity $Mailbox -{{enabled}} $true
    Add-MailboxPermission -Identity $Mailbox -User $Principal.Identity -AccessRights FullAccess -InheritanceType All -AutoMapping $false
}

# 3. RBAC for Applications, for the protocols that know it: a scope of just these mailboxes. The roles for IMAP and POP do
#    not exist; for these step 2 is the limit. Give NO permission of the same name in Entra beside it: that one is for
#    every mailbox, and the wider one wins.
$Scope = {{scope}}
if (-not (Get-ManagementScope | Where-Object { $_.Name -eq $Scope })) {
    New-ManagementScope -Name $Scope -RecipientRestrictionFilter {{filter}} | Out-Null
} else {
    Set-ManagementScope -Identity $Scope -RecipientRestrictionFilter {{filter}}
}
# Reading through Microsoft Graph, and sending through SMTP: take the sign away where you want it.
# New-ManagementRoleAssignment -App $ObjectId -Role 'Application Mail.Read' -CustomResourceScope $Scope
# New-ManagementRoleAssignment -App $ObjectId -Role 'Application SMTP.SendAsApp' -CustomResourceScope $Scope

# Verify. These only read. (A change can take an hour to be felt.)
Get-ServicePrincipal -Identity $Principal.Identity | Format-List DisplayName, AppId, ObjectId
foreach ($Mailbox in $Mailboxes) {
    Get-CASMailbox -Identity $Mailbox | Format-List PrimarySmtpAddress, {{enabled}}
    Get-MailboxPermission -Identity $Mailbox | Where-Object { -not $_.IsInherited } | Format-Table User, AccessRights
    Test-ServicePrincipalAuthorization -Identity $Principal.Identity -Resource $Mailbox | Format-Table RoleName, AllowedResourceScope, InScope
}
