{{/*
Helm creates hooks of one weight by name, and those of one name by kind: a role and its binding share theirs, so that the
role is there first. An operator who is not cluster-admin could not bind to one that does not exist.
*/}}
{{- define "fairlead-hooks.access" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "fairlead-hooks.name" . | quote }}
  namespace: {{ .root.Release.Namespace | quote }}
  {{- include "fairlead-hooks.accessMetadata" . | nindent 2 }}
# The Job's pod alone asks for the token.
automountServiceAccountToken: false
{{- include "fairlead-hooks.role" (dict "job" . "key" "rules" "kind" "ClusterRole" "name" (include "fairlead-hooks.clusterName" .)) }}
{{- include "fairlead-hooks.role" (dict "job" . "key" "namespaceRules" "kind" "Role" "name" (include "fairlead-hooks.name" .)) }}
{{- /* Two releases may name the same namespace: the name tells them apart. */}}
{{- $job := . }}
{{- range $namespace, $rules := .otherNamespaces }}
{{- $there := merge (dict "otherRules" $rules) $job }}
{{- include "fairlead-hooks.role" (dict "job" $there "key" "otherRules" "kind" "Role" "namespace" $namespace "name" (include "fairlead-hooks.clusterName" $job)) }}
{{- end }}
{{- include "fairlead-hooks.undoRole" . }}
{{- end -}}

{{/*
What undoing the job takes, for its own account, for that of the release's rollback hooks, and for later jobs whose failure ends its holds.
It is there before the step,
and outlives Helm's rollback. Helm runs the hooks of the revision that it goes back to: they know nothing of this step, and
run as that account, which may not exist yet when the binding names it.
*/}}
{{- define "fairlead-hooks.undoRole" -}}
{{- /* With a hash of the rules: the role of an earlier upgrade, with others, is what that one is taken back with. */}}
{{- $name := include "fairlead-hooks.clusterName" (dict "root" .root "job" (print .job "-undo")) -}}
{{- $accounts := concat (list .job "fairlead-rollback") .undoneBy -}}
{{- $role := dict "job" . "key" "undoRules" "accounts" $accounts -}}
{{- $rules := include "fairlead-hooks.rules" $role | sha256sum | trunc 8 -}}
{{- include "fairlead-hooks.role" (merge (dict "kind" "ClusterRole" "name" (printf "%s-%s" $name $rules)) $role) }}
{{- range $namespace, $given := .undoOtherNamespaces }}
{{- $there := dict "job" (merge (dict "undoRules" $given) $role.job) -}}
{{- $rules := include "fairlead-hooks.rules" (merge $there $role) | sha256sum | trunc 8 -}}
{{- include "fairlead-hooks.role" (merge (dict "kind" "Role" "namespace" $namespace "name" (printf "%s-%s" $name $rules)) $there $role) }}
{{- end }}
{{- end -}}

{{/*
Role and binding of one kind and name, with the rules under one key of the job; nothing when there are no rules. accounts:
the jobs whose ServiceAccounts get them, if not only the job's own.
*/}}
{{- define "fairlead-hooks.role" -}}
{{- with include "fairlead-hooks.rules" . }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $.kind }}
metadata:
  name: {{ $.name | quote }}
  {{- include "fairlead-hooks.roleMetadata" $ | nindent 2 }}
rules:
  {{- . | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $.kind }}Binding
metadata:
  name: {{ $.name | quote }}
  {{- include "fairlead-hooks.roleMetadata" $ | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $.kind }}
  name: {{ $.name | quote }}
subjects:
  {{- range get $ "accounts" | default (list $.job.job) }}
  - kind: ServiceAccount
    name: {{ include "fairlead-hooks.name" (dict "root" $.job.root "job" .) | quote }}
    namespace: {{ $.job.root.Release.Namespace | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* What is outside the release's namespace says in a label which namespace's release it belongs to: its name has only a hash of that. */}}
{{- define "fairlead-hooks.roleMetadata" -}}
{{- $labels := merge (dict "fairlead.dev/namespace" .job.root.Release.Namespace) .job.extraLabels -}}
{{- $outside := merge (dict "extraLabels" $labels) .job -}}
{{- if .namespace -}}
namespace: {{ .namespace | quote }}
{{ include "fairlead-hooks.accessMetadata" $outside -}}
{{- else if eq .kind "Role" -}}
namespace: {{ .job.root.Release.Namespace | quote }}
{{ include "fairlead-hooks.accessMetadata" .job -}}
{{- else -}}
{{- include "fairlead-hooks.accessMetadata" $outside -}}
{{- end -}}
{{- end -}}

{{/* The rules as text. Given as text they keep their comments: whoever grants them reads there why. */}}
{{- define "fairlead-hooks.rules" -}}
{{- $given := index .job .key -}}
{{- $text := kindIs "string" $given | ternary $given (toYaml $given) -}}
{{- $rules := fromYamlArray $text -}}
{{- $asked := include "fairlead-hooks.asked" .job -}}
{{- range $rules -}}
{{- if not (kindIs "map" .) -}}
{{- printf "%s: %s must be a list of rules: %v" $asked $.key . | fail -}}
{{- end -}}
{{- range $field, $list := . -}}
{{- range $list -}}
{{- if not (kindIs "string" .) -}}
{{- printf "%s: %s: %s (%v) must be text: put it in quotes" $asked $.key $field . | fail -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $rules -}}
{{- trimAll "\n" $text -}}
{{- end -}}
{{- end -}}

{{/*
Labels and annotations of ServiceAccount, roles and bindings. These stay after the hook: with hook-succeeded Helm takes
them away the moment a later hook fails, while the pod may still be putting things back.
*/}}
{{- define "fairlead-hooks.accessMetadata" -}}
labels: {{- include "fairlead-hooks.labels" . | nindent 2 }}
{{- if eq .mode "hook" }}
annotations:
  helm.sh/hook: {{ join "," .events | quote }}
  helm.sh/hook-weight: "0"
  helm.sh/hook-delete-policy: before-hook-creation
{{- else }}
annotations:
  # A rollback needs them, also when the Job that came with them is not among the manifests any more.
  argocd.argoproj.io/sync-options: Prune=false
  kustomize.toolkit.fluxcd.io/prune: disabled
{{- end }}
{{- end -}}
