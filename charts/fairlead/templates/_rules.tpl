{{/* Rules that every job needs, for what is outside the release's namespace. */}}
{{- define "fairlead.admissionRules" -}}
# Who has a say when a write is refused: named in the message.
- apiGroups: [admissionregistration.k8s.io]
  resources: [mutatingwebhookconfigurations, validatingwebhookconfigurations, validatingadmissionpolicies]
  verbs: [list]
{{- end -}}

{{/* Rules that a job needs in the release's namespace. */}}
{{- define "fairlead.ledgerRules" -}}
# Old tickets of runs that have been taken back.
- apiGroups: [""]
  resources: [secrets]
  verbs: [delete]
{{ include "fairlead.undoLedgerRules" . }}
{{- end -}}

{{/* Those of them that going back needs. */}}
{{- define "fairlead.undoLedgerRules" -}}
# The ledger. get: a run that ended in the middle is finished from what it stored. list: also what Helm has recorded.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, create, patch]
# When the Job began, which is when its deadline began.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get]
# How the run ended, as an Event on the Job.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
# One run at a time.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, patch]
{{- end -}}
