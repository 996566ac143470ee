{{/*
The helpers take a dict: root (the chart's scope), job (its name) and values (its part of the values).
*/}}

{{/* Name of the job's objects in the namespace. A hash keeps a name that must be cut unlike its neighbours. */}}
{{- define "fairlead.name" -}}
{{- $name := printf "%s-%s" .root.Release.Name .job -}}
{{- if gt (len $name) 63 -}}
{{- /* 53 is 63 without the hash and two hyphens. */}}
{{- $start := trunc (int (sub 53 (len .job))) .root.Release.Name | trimSuffix "-" | trimSuffix "." -}}
{{- $name = printf "%s-%s-%s" $start (sha256sum .root.Release.Name | trunc 8) .job -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* Name of the job's cluster-scoped objects. The same release name may exist in several namespaces, hence the hash. */}}
{{- define "fairlead.clusterName" -}}
{{- printf "fairlead-%s-%s" .job (printf "%s/%s" .root.Release.Namespace .root.Release.Name | sha256sum | trunc 8) -}}
{{- end -}}

{{- define "fairlead.labels" -}}
{{- $labels := dict
  "app.kubernetes.io/name" .job
  "app.kubernetes.io/instance" .root.Release.Name
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/component" .component
  "app.kubernetes.io/part-of" "fairlead"
  "app.kubernetes.io/managed-by" .root.Release.Service
-}}
{{- merge $labels .root.Values.extraLabels | toYaml -}}
{{- end -}}

{{/* The Helm events at which the job runs. */}}
{{- define "fairlead.hook" -}}
pre-upgrade{{ if .values.runOnInstall }},pre-install{{ end }}
{{- end -}}

{{/*
Labels and annotations of ServiceAccount, roles and bindings. These stay after the hook: with hook-succeeded Helm takes
them away the moment a later hook fails, while the pod may still be putting things back.
*/}}
{{- define "fairlead.accessMetadata" -}}
labels: {{- include "fairlead.labels" . | nindent 2 }}
{{- if eq .root.Values.mode "hook" }}
annotations:
  helm.sh/hook: {{ include "fairlead.hook" . }}
  helm.sh/hook-weight: "0"
  helm.sh/hook-delete-policy: before-hook-creation
{{- end }}
{{- end -}}

{{- define "fairlead.image" -}}
{{- $image := .values.image -}}
{{- $name := printf "%s/%s" ($image.registry | default .root.Values.image.registry) $image.repository -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name ($image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* A duration such as 3m30s in seconds. */}}
{{- define "fairlead.seconds" -}}
{{- $duration := . -}}
{{- $seconds := 0 -}}
{{- range $unit, $factor := dict "h" 3600 "m" 60 "s" 1 -}}
{{- $count := regexFind (printf "[0-9]+%s" $unit) $duration | trimSuffix $unit | default "0" -}}
{{- $seconds = add $seconds (mul $factor (int $count)) -}}
{{- end -}}
{{- $seconds -}}
{{- end -}}

{{/*
Refuses deadlines that would end the pod before it has ended itself: killed, it cannot put back what it changed.
*/}}
{{- define "fairlead.checkDeadlines" -}}
{{- if or (lt (include "fairlead.seconds" .values.runTimeout | int) 1) (gt (add (include "fairlead.seconds" .values.runTimeout | int) 50) (int64 .values.activeDeadlineSeconds)) -}}
{{- printf "%s: activeDeadlineSeconds (%v) must be at least 50 s above runTimeout (%s), which must not be 0"
  .job .values.activeDeadlineSeconds .values.runTimeout | fail -}}
{{- end -}}
{{- end -}}

{{/* Environment that all jobs understand. */}}
{{- define "fairlead.env" -}}
- name: FAIRLEAD_RELEASE
  value: {{ .root.Values.release | default .root.Release.Name | quote }}
- name: FAIRLEAD_LEDGER_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- if eq .root.Values.mode "hook" }}
- name: FAIRLEAD_HELM_REVISION
  value: {{ .root.Release.Revision | quote }}
{{- end }}
- name: FAIRLEAD_RUN_TIMEOUT
  value: {{ .values.runTimeout | quote }}
- name: FAIRLEAD_LOG_FORMAT
  value: {{ .root.Values.logFormat | quote }}
{{- with .root.Values.proxy }}
{{- with .http }}
- name: HTTP_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .https }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
{{- if or .http .https }}
- name: NO_PROXY
  value: {{ list "$(KUBERNETES_SERVICE_HOST)" "kubernetes.default.svc" .noProxy | compact | join "," | quote }}
{{- end }}
{{- end }}
{{- end -}}
