{{/*
Rules for the kinds that the configuration names, as JSON: for the purge (rules), and for going back (undoRules). No verb is given to one
account twice.
*/}}
{{- define "fairlead.purgeRules" -}}
{{- $purge := .Values.configuration.purge -}}
{{- $forward := dict -}}
{{- $back := dict -}}
{{- range $purge.kinds -}}
{{- include "fairlead.allow" (dict "in" $forward "of" . "verbs" (list "delete")) -}}
{{- include "fairlead.allowReturn" (dict "in" $back "of" .) -}}
{{- if hasSuffix "kyma-project.io" .group -}}
{{- range $kind, $group := include "fairlead.mesh" $ | fromYaml -}}
{{- range splitList " " $group -}}
{{- include "fairlead.allow" (dict "in" $forward "of" (dict "group" . "kind" $kind) "verbs" (list "list")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $purge.stays -}}
{{- include "fairlead.allow" (dict "in" $forward "of" . "verbs" (list "list")) -}}
{{- end -}}
{{- range $purge.dependents -}}
{{- include "fairlead.allowReturn" (dict "in" $back "of" .) -}}
{{- end -}}
{{- range $purge.finalizers -}}
{{- include "fairlead.allow" (dict "in" $back "of" (include "fairlead.workload" .owner | fromJson) "verbs" (list "get")) -}}
{{- range .deletes -}}
{{- include "fairlead.allow" (dict "in" $forward "of" . "verbs" (list "delete")) -}}
{{- include "fairlead.allowReturn" (dict "in" $back "of" .) -}}
{{- end -}}
{{- end -}}
{{- range $purge.consumers -}}
{{- $workload := include "fairlead.workload" .workload | fromJson -}}
{{- include "fairlead.allow" (dict "in" $back "of" $workload "verbs" (list "get")) -}}
{{- if .hold -}}
{{- include "fairlead.allowHold" (dict "in" $back "of" $workload) -}}
{{- end -}}
{{- end -}}
{{- /* A drain that somebody has run by hand counts while its intake is closed. One of the chart brings these rights along. */}}
{{- if and (.Values.configuration.drain) (not .Values.drainWaiter.enabled) -}}
{{- range (include "fairlead.drain" . | fromJson).intake -}}
{{- $intake := dict -}}
{{- include "fairlead.allowIntake" (dict "in" $intake "of" .) -}}
{{- range $resource := keys $intake -}}
{{- if not (contains "/" $resource) -}}
{{- $_ := concat (get $forward $resource | default list) (list "get") | uniq | set $forward $resource -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $resource, $verbs := $back -}}
{{- range $verbs -}}
{{- $_ := without (get $forward $resource | default list) . | set $forward $resource -}}
{{- end -}}
{{- end -}}
{{- if eq (toString $purge.owned) "all" -}}
{{- $_ := set $forward "*|*" (list "list") -}}
{{- end -}}
{{- $rules := dict "rules" $forward "undoRules" $back -}}
{{- range $key, $allowed := $rules -}}
{{- $_ := include "fairlead.asRules" $allowed | fromJsonArray | set $rules $key -}}
{{- end -}}
{{- toJson $rules -}}
{{- end -}}

{{/* What is read of Kyma's bus and of the mesh, to see whether events arrive: groups by kind. */}}
{{- define "fairlead.mesh" -}}
Subscription: eventing.kyma-project.io messaging.knative.dev
EventActivation: applicationconnector.kyma-project.io
Channel: messaging.knative.dev
Broker: eventing.knative.dev
Trigger: eventing.knative.dev
{{- end -}}

{{/* Adds verbs on the resource of a kind, or on a part of it: to what is allowed by group and resource. */}}
{{- define "fairlead.allow" -}}
{{- $resource := printf "%s|%s%s" .of.group (include "fairlead.plural" .of.kind) (.part | default "") -}}
{{- $_ := concat (get .in $resource | default list) .verbs | uniq | set .in $resource -}}
{{- end -}}

{{/* What was deleted comes back, with its status where it has one, and is waited for until it is ready. */}}
{{- define "fairlead.allowReturn" -}}
{{- include "fairlead.allow" (dict "in" .in "of" .of "verbs" (list "get" "list" "create" "patch")) -}}
{{- include "fairlead.allow" (dict "in" .in "of" .of "part" "/status" "verbs" (list "patch")) -}}
{{- end -}}

{{/* Held, and started again, only through its scale; who owned which field is put back. */}}
{{- define "fairlead.allowHold" -}}
{{- include "fairlead.allow" (dict "in" .in "of" .of "verbs" (list "get" "patch")) -}}
{{- include "fairlead.allow" (dict "in" .in "of" .of "part" "/scale" "verbs" (list "patch")) -}}
{{- end -}}

{{/* Group and kind of a workload. */}}
{{- define "fairlead.workload" -}}
{{- $group := contains "/" .apiVersion | ternary (regexReplaceAll "/.*$" .apiVersion "") "" -}}
{{- dict "group" $group "kind" .kind | toJson -}}
{{- end -}}

{{/* The regular plural of a kind. Nobody can ask the cluster for it here; irregular ones take a rule of their own. */}}
{{- define "fairlead.plural" -}}
{{- $kind := lower . -}}
{{- if regexMatch "(s|x|z|ch|sh)$" $kind -}}
{{- print $kind "es" -}}
{{- else if regexMatch "[^aeiou]y$" $kind -}}
{{- print (trimSuffix "y" $kind) "ies" -}}
{{- else -}}
{{- print $kind "s" -}}
{{- end -}}
{{- end -}}

{{- define "fairlead.asRules" -}}
{{- $rules := list -}}
{{- range $resource, $verbs := . -}}
{{- if $verbs -}}
{{- $of := splitn "|" 2 $resource -}}
{{- $rules = append $rules (dict "apiGroups" (list $of._0) "resources" (list $of._1) "verbs" $verbs) -}}
{{- end -}}
{{- end -}}
{{- toJson $rules -}}
{{- end -}}
