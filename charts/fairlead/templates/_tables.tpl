{{/*
Rules for the Secrets that the section `tables` names, as JSON: a list for each namespace but that of the release, whose Secrets are allowed with the ledger. Each
account of the job has them, and that of the rollback hooks: who goes back needs the password, too.
*/}}
{{- define "fairlead.tablesSecrets" -}}
{{- $database := include "fairlead.tablesDatabase" . | fromJson -}}
{{- $secrets := dict -}}
{{- range include "fairlead.secretsIn" (dict "in" $database "namespace" .Release.Namespace) | fromJsonArray -}}
{{- $_ := append (get $secrets .namespace | default list) .name | uniq | sortAlpha | set $secrets .namespace -}}
{{- end -}}
{{- $rules := dict -}}
{{- range $namespace, $names := $secrets -}}
{{- $_ := dict "apiGroups" (list "") "resources" (list "secrets") "resourceNames" $names "verbs" (list "get") | list | set $rules $namespace -}}
{{- end -}}
{{- toJson $rules -}}
{{- end -}}

{{/* The database, with credentials that a rollback can read: its hooks may be older than the migration, and have no variables of it. */}}
{{- define "fairlead.tablesDatabase" -}}
{{- $database := (.Values.configuration.tables | default dict).database -}}
{{- if not $database -}}
{{- fail "schemaMigrator.enabled: configuration.tables.database is missing: it says which database is migrated" -}}
{{- end -}}
{{- $args := join " " .Values.schemaMigrator.args -}}
{{- if regexMatch "(^| )--store(=| )+database( |$)" $args -}}
{{- fail "schemaMigrator.args: --store database is for pipelines without a cluster: the rollback hooks look for the runs in the cluster, and would take nothing back" -}}
{{- end -}}
{{- $tls := $database.tls | default dict -}}
{{- $credentials := dict "password" $database.password "tls.ca" $tls.ca "tls.certificate" $tls.certificate "tls.key" $tls.key -}}
{{- range $place, $credential := $credentials -}}
{{- if hasKey ($credential | default dict) "env" -}}
{{- printf "configuration.tables.database.%s: the rollback hooks cannot read variable %s: name a key of a Secret, {name: …, key: …}" $place $credential.env | fail -}}
{{- end -}}
{{- end -}}
{{- toJson $database -}}
{{- end -}}
