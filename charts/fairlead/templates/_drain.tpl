{{/* The section `drain` of the configuration, or what is built in, as JSON; nothing to drain where only other kinds are purged. */}}
{{- define "fairlead.drain" -}}
{{- $publisher := dict "apiVersion" "apps/v1" "kind" "Deployment" "namespace" "kyma-system" "name" "event-bus-event-publish-service" -}}
{{- $builtIn := dict "intake" (list (dict "scale" $publisher)) -}}
{{- if .Values.configuration.purge -}}
{{- $builtIn = dict -}}
{{- end -}}
{{- .Values.configuration.drain | default $builtIn | toJson -}}
{{- end -}}

{{/*
Rules for what is drained, as JSON: for reading (rules, otherNamespaces), and for closing the intake, going back and the end of the holds (undoRules). No verb is
given to one account twice.
*/}}
{{- define "fairlead.drainRules" -}}
{{- $drain := include "fairlead.drain" . | fromJson -}}
{{- $forward := dict -}}
{{- $back := dict -}}
{{- $secrets := dict -}}
{{- range $drain.intake -}}
{{- include "fairlead.allowIntake" (dict "in" $back "of" .) -}}
{{- with .each -}}
{{- include "fairlead.allow" (dict "in" $forward "of" (include "fairlead.workload" . | fromJson) "verbs" (list "list")) -}}
{{- end -}}
{{- if .scale -}}
{{- include "fairlead.allow" (dict "in" $forward "of" (dict "group" "autoscaling" "kind" "HorizontalPodAutoscaler") "verbs" (list "list")) -}}
{{- include "fairlead.allow" (dict "in" $forward "of" (dict "group" "keda.sh" "kind" "ScaledObject") "verbs" (list "list")) -}}
{{- end -}}
{{- if .suspend -}}
{{- include "fairlead.allow" (dict "in" $forward "of" (dict "group" "batch" "kind" "Job") "verbs" (list "list")) -}}
{{- end -}}
{{- if or .scale .redirect -}}
{{- include "fairlead.allow" (dict "in" $forward "of" (dict "group" "" "kind" "Pod") "verbs" (list "list")) -}}
{{- end -}}
{{- with .redirect -}}
{{- /* What is sent, and what is answered, may look like one. */}}
{{- range include "fairlead.secretsIn" (dict "in" (omit (.event | default dict) "body" "expect") "namespace" $.Release.Namespace) | fromJsonArray -}}
{{- $_ := append (get $secrets .namespace | default list) .name | uniq | sortAlpha | set $secrets .namespace -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $drain.sources -}}
{{- with .kubernetes -}}
{{- include "fairlead.allow" (dict "in" $forward "of" (include "fairlead.workload" . | fromJson) "verbs" (list "get")) -}}
{{- if eq (toString .until) "idle" -}}
{{- include "fairlead.allow" (dict "in" $forward "of" (dict "group" "batch" "kind" "Job") "verbs" (list "list")) -}}
{{- end -}}
{{- if eq (toString .until) "stopped" -}}
{{- include "fairlead.allow" (dict "in" $forward "of" (dict "group" "" "kind" "Pod") "verbs" (list "list")) -}}
{{- end -}}
{{- end -}}
{{- range include "fairlead.secretsIn" (dict "in" . "namespace" $.Release.Namespace) | fromJsonArray -}}
{{- $_ := append (get $secrets .namespace | default list) .name | uniq | sortAlpha | set $secrets .namespace -}}
{{- end -}}
{{- end -}}
{{- range $resource, $verbs := $back -}}
{{- range $verbs -}}
{{- $_ := without (get $forward $resource | default list) . | set $forward $resource -}}
{{- end -}}
{{- end -}}
{{- $rules := include "fairlead.asRules" $forward | fromJsonArray -}}
{{- /* Only these, each in its namespace, and only to read them. Those of the release's namespace are allowed with the ledger. */}}
{{- $others := dict -}}
{{- range $namespace, $names := $secrets -}}
{{- $_ := dict "apiGroups" (list "") "resources" (list "secrets") "resourceNames" $names "verbs" (list "get") | list | set $others $namespace -}}
{{- end -}}
{{- dict "rules" $rules "otherNamespaces" $others "undoRules" (include "fairlead.asRules" $back | fromJsonArray) | toJson -}}
{{- end -}}

{{/* What closes an intake, and opens it again: only through its scale, where it has one. */}}
{{- define "fairlead.allowIntake" -}}
{{- $in := .in -}}
{{- with .of.scale -}}
{{- $workload := dict "apiVersion" (.apiVersion | default "apps/v1") "kind" (.kind | default "Deployment") -}}
{{- include "fairlead.allowHold" (dict "in" $in "of" (include "fairlead.workload" $workload | fromJson)) -}}
{{- end -}}
{{- if .of.suspend -}}
{{- include "fairlead.allow" (dict "in" $in "of" (dict "group" "batch" "kind" "CronJob") "verbs" (list "get" "patch")) -}}
{{- end -}}
{{- if .of.redirect -}}
{{- include "fairlead.allow" (dict "in" $in "of" (dict "group" "" "kind" "Service") "verbs" (list "get" "patch")) -}}
{{- end -}}
{{- with .of.set -}}
{{- include "fairlead.allow" (dict "in" $in "of" (include "fairlead.workload" . | fromJson) "verbs" (list "get" "patch")) -}}
{{- end -}}
{{- end -}}

{{/*
Rules for the end of the holds: those of a purge, and those of a drain. Without what the hook has anyway, for runs under another configuration.
*/}}
{{- define "fairlead.heldRules" -}}
{{- $held := dict -}}
{{- range (.Values.configuration.purge | default dict).consumers -}}
{{- if .hold -}}
{{- include "fairlead.allowHold" (dict "in" $held "of" (include "fairlead.workload" .workload | fromJson)) -}}
{{- end -}}
{{- end -}}
{{- if .Values.drainWaiter.enabled -}}
{{- range (include "fairlead.drain" . | fromJson).intake -}}
{{- if not .redirect -}}
{{- include "fairlead.allowIntake" (dict "in" $held "of" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- omit $held "apps|deployments" "apps|deployments/scale" | include "fairlead.asRules" -}}
{{- end -}}

{{/* Secrets outside a namespace that a source or an event refers to, wherever it does: {namespace, name, key}. As JSON. */}}
{{- define "fairlead.secretsIn" -}}
{{- $namespace := .namespace -}}
{{- $names := list -}}
{{- if kindIs "map" .in -}}
{{- if and (hasKey .in "name") (hasKey .in "key") (ne (.in.namespace | default $namespace) $namespace) -}}
{{- $names = append $names .in -}}
{{- end -}}
{{- range .in -}}
{{- $names = include "fairlead.secretsIn" (dict "in" . "namespace" $namespace) | fromJsonArray | concat $names -}}
{{- end -}}
{{- end -}}
{{- if kindIs "slice" .in -}}
{{- range .in -}}
{{- $names = include "fairlead.secretsIn" (dict "in" . "namespace" $namespace) | fromJsonArray | concat $names -}}
{{- end -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}
