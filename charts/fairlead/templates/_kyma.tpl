{{/*
What the value `kyma` stands for is put into the values themselves, before a template reads them: each template includes this first. Sections of the
configuration that are there stay.
*/}}
{{- define "fairlead.kyma" -}}
{{- if .Values.kyma -}}
{{- $jobs := dict "arm" list "replicate" (list "triggerReplicator") "migrate" (list "triggerReplicator" "drainWaiter" "legacyPurger") -}}
{{- range list "triggerReplicator" "drainWaiter" "legacyPurger" -}}
{{- $_ := get $jobs $.Values.kyma | has . | set (index $.Values .) "enabled" -}}
{{- end -}}
{{- $layer := .Values.compatibilityLayer -}}
{{- $_ := set $layer "enabled" true -}}
{{- $_ := $layer.namespaces | default (list "kyma-system" "kyma-integration") | set $layer "namespaces" -}}
{{- $kyma := tpl (.Files.Get "files/kyma.yaml") . | fromYaml -}}
{{- range $section, $content := $kyma -}}
{{- if not (hasKey $.Values.configuration $section) -}}
{{- $_ := set $.Values.configuration $section $content -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
