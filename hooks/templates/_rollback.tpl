{{/*
The way back, from one dict: Jobs before and after `helm rollback` applies the old manifests, or one Job now, with ServiceAccount,
roles and bindings. README.md explains its keys.
*/}}
{{- define "fairlead-hooks.rollback" -}}
{{- $given := include "fairlead-hooks.rollbackDefaults" . | fromYaml -}}
{{- include "fairlead-hooks.fill" (dict "of" "fairlead-hooks.rollback" "into" $given "from" . "at" "") -}}
{{- include "fairlead-hooks.asText" $given -}}
{{- /*
Access is made before the first of the two Jobs only: a ServiceAccount that is created again between them makes the tokens of a
pod that still runs invalid.
*/}}
{{- $fixed := dict "job" "fairlead-rollback" "events" (list "pre-rollback") "weight" 10 "configuration" "" "undoRules" list "undoOtherNamespaces" dict "undoneBy" list "container" "" -}}
{{- $rollback := merge $fixed $given -}}
{{- include "fairlead-hooks.check" $rollback -}}
{{- include "fairlead-hooks.checkRollback" $rollback -}}
{{- if eq $rollback.mode "hook" -}}
{{- include "fairlead-hooks.access" $rollback }}
{{- include "fairlead-hooks.rollbackHook" (dict "rollback" $rollback "at" "pre-rollback" "more" list) }}
{{- $waiting := include "fairlead-hooks.waiting" $rollback | fromJsonArray }}
{{- include "fairlead-hooks.rollbackHook" (dict "rollback" $rollback "at" "post-rollback" "more" $waiting) }}
{{- else if $rollback.now -}}
{{- include "fairlead-hooks.access" $rollback }}
---
{{ include "fairlead-hooks.batchJob" (merge (dict "args" (prepend $rollback.now "rollback")) $rollback) }}
{{- end -}}
{{- end -}}

{{/*
A Job of `helm rollback` at one of its events. Helm runs the hooks of the revision that it goes back to, as they were rendered:
the number is that revision's; or, where that one was itself a rollback, the number of the one whose manifests it brought back.
*/}}
{{- define "fairlead-hooks.rollbackHook" -}}
{{- $args := list "rollback" "--to-revision" (print .rollback.root.Release.Revision) "--undo-at" .at -}}
{{- $hook := dict "job" (print "fairlead-" .at) "account" .rollback.job "events" (list .at) "args" (concat $args .more) }}
---
{{ include "fairlead-hooks.batchJob" (merge $hook .rollback) }}
{{- end -}}

{{/* For what the second Job waits, and how long, as arguments. */}}
{{- define "fairlead-hooks.waiting" -}}
{{- $for := empty .waitFor | ternary list (list "--wait-for" (join "," .waitFor)) -}}
{{- concat $for (list "--wait-timeout" .waitTimeout) | toJson -}}
{{- end -}}

{{/* Those of a job, but for what is the same in every rollback. */}}
{{- define "fairlead-hooks.rollbackDefaults" -}}
{{- $fixed := list "job" "container" "args" "events" "weight" "configuration" "undoRules" "undoOtherNamespaces" "undoneBy" "failExitCodes" -}}
{{- $defaults := include "fairlead-hooks.defaults" . | fromYaml -}}
{{- range $fixed -}}
{{- $_ := unset $defaults . -}}
{{- end -}}
{{- set $defaults "component" "rollback" | toYaml }}
waitFor: [workloads, restored]
waitTimeout: 2m
now: []
{{- end -}}

{{/* Refuses what would fail only in the rollback, when nobody has time to fix it. */}}
{{- define "fairlead-hooks.checkRollback" -}}
{{- $asked := include "fairlead-hooks.asked" . -}}
{{- range .waitFor -}}
{{- if not (has . (list "workloads" "restored")) -}}
{{- printf "%s: waitFor (%v) must be workloads or restored" $asked . | fail -}}
{{- end -}}
{{- end -}}
{{- $wait := include "fairlead-hooks.seconds" .waitTimeout | int -}}
{{- $run := include "fairlead-hooks.seconds" .runTimeout | int -}}
{{- if or (lt $wait 1) (and .waitFor (ge $wait $run)) -}}
{{- printf "%s: waitTimeout (%v) must be below runTimeout (%s), and not 0" $asked .waitTimeout .runTimeout | fail -}}
{{- end -}}
{{- if and .now (eq .mode "hook") -}}
{{- printf "%s: now (%s) is for mode job: in mode hook `helm rollback` says when, and how far" $asked (join " " .now) | fail -}}
{{- end -}}
{{- end -}}
