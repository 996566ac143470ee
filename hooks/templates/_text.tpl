{{/*
Makes text of what Kubernetes wants as text. In a dict that was made by fromYaml, a number that nobody has put in quotes is a
number, and 1000000 would be printed as 1e+06.
*/}}
{{- define "fairlead-hooks.asText" -}}
{{- $job := . -}}
{{- $numbers := list "weight" "backoffLimit" "activeDeadlineSeconds" "failExitCodes" "ttlSecondsAfterFinished" -}}
{{- $others := list "root" "resources" "rules" "namespaceRules" "otherNamespaces" "undoRules" "undoOtherNamespaces" -}}
{{- $but := dict "affinity" (list "weight") "tolerations" (list "tolerationSeconds") "env" (list "optional") -}}
{{- range $key := keys $job -}}
{{- if not (has $key (concat $numbers $others)) -}}
{{- $text := include "fairlead-hooks.text" (dict "of" (index $job $key) "but" (get $but $key | default list)) -}}
{{- $_ := set $job $key (fromJson $text).text -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Everything in `of` as text, however deep, but for what stands under the keys `but`. JSON with the one key `text`. */}}
{{- define "fairlead-hooks.text" -}}
{{- $of := .of -}}
{{- $but := .but -}}
{{- if kindIs "map" $of -}}
{{- $map := dict -}}
{{- range $key, $value := $of -}}
{{- if has $key $but -}}
{{- $_ := set $map $key $value -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $map $key (include "fairlead-hooks.text" (dict "of" $value "but" $but) | fromJson).text -}}
{{- end -}}
{{- end -}}
{{- dict "text" $map | toJson -}}
{{- else if kindIs "slice" $of -}}
{{- $list := list -}}
{{- range $of -}}
{{- $list = append $list (include "fairlead-hooks.text" (dict "of" . "but" $but) | fromJson).text -}}
{{- end -}}
{{- dict "text" $list | toJson -}}
{{- else -}}
{{- dict "text" (kindIs "string" $of | ternary $of (toJson $of)) | toJson -}}
{{- end -}}
{{- end -}}
