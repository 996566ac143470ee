{{/*
What the value `kyma` stands for is put into the values themselves, before a template reads them: each template includes this first. Sections of the
configuration that are there stay.
*/}}
{{- define "fairlead.kyma" -}}
{{- if .Values.kyma -}}
{{- /* With --reuse-values the values of a chart before this one have none. */ -}}
{{- range list "compatibilityLayer" "configuration" -}}
{{- $_ := get $.Values . | default dict | set $.Values . -}}
{{- end -}}
{{- $jobs := dict "arm" list "replicate" (list "triggerReplicator") "migrate" (list "triggerReplicator" "drainWaiter" "legacyPurger") -}}
{{- range list "triggerReplicator" "drainWaiter" "legacyPurger" -}}
{{- $_ := get $jobs $.Values.kyma | has . | set (index $.Values .) "enabled" -}}
{{- end -}}
{{- $layer := .Values.compatibilityLayer -}}
{{- /* With mode job everything is replaced by force, and a server that is replaced serves nobody meanwhile. */ -}}
{{- $_ := eq .Values.mode "hook" | set $layer "enabled" -}}
{{- $_ := $layer.namespaces | default (list "kyma-system" "kyma-integration") | set $layer "namespaces" -}}
{{- $kyma := tpl (.Files.Get "files/kyma.yaml") . | fromYaml -}}
{{- range $section, $content := $kyma -}}
{{- if not (hasKey $.Values.configuration $section) -}}
{{- $_ := set $.Values.configuration $section $content -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
