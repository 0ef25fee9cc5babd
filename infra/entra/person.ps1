# Opens {{mailbox.comment}} over {{protocol}} to the person who signs in for it.
# Printed by `rebond kit {{account}}`. Read it, then run it in PowerShell as an Exchange administrator:
#   Install-Module ExchangeOnlineManagement -Scope CurrentUser    (once)
# Running it a second time changes nothing.

$ErrorActionPreference = 'Stop'
$Mailbox = {{mailbox}}
$Person  = {{person}}

Connect-ExchangeOnline{{environment}}

# 1. The mailbox must be there, under this very address.
Get-EXOMailbox -Identity $Mailbox | Format-List PrimarySmtpAddress, RecipientTypeDetails

# 2. {{protocol}} must be enabled for it. (A change can take an hour to be felt.)
Set-CASMailbox -Identity $Mailbox -{{enabled}} $true

# 3. Somebody else than the mailbox itself needs full access to it. Send nothing to their Outlook: no automapping.
if ($Person -and $Person -ne $Mailbox) {
    Add-MailboxPermission -Identity $Mailbox -User $Person -AccessRights FullAccess -InheritanceType All -AutoMapping $false
}

# Verify. These only read.
Get-CASMailbox -Identity $Mailbox | Format-List {{enabled}}
Get-MailboxPermission -Identity $Mailbox | Where-Object { -not $_.IsInherited } | Format-Table User, AccessRights
