{{/* Environment that all jobs of fairlead understand, and the job's own after it. */}}
{{- define "fairlead-hooks.env" -}}
- name: FAIRLEAD_RELEASE
  value: {{ .release | default .root.Release.Name | quote }}
{{- if .release }}
# The runs are recorded under another name.
- name: FAIRLEAD_HELM_RELEASE
  value: {{ .root.Release.Name | quote }}
{{- end }}
- name: FAIRLEAD_LEDGER_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: FAIRLEAD_JOB
  value: {{ include "fairlead-hooks.jobName" . | quote }}
- name: FAIRLEAD_IMAGE
  value: {{ include "fairlead-hooks.image" . | quote }}
{{- /*
Only where Helm really runs the job: `helm template` and Argo CD always render an install of revision 1, and the ledger must
not take that for a revision of Helm's. A true installation has nothing to go back to, and needs none.
*/}}
{{- if and (eq .mode "hook") (or .root.Release.IsUpgrade (gt (int .root.Release.Revision) 1)) }}
- name: FAIRLEAD_HELM_REVISION
  value: {{ .root.Release.Revision | quote }}
{{- end }}
- name: FAIRLEAD_RUN_TIMEOUT
  value: {{ .runTimeout | quote }}
- name: FAIRLEAD_LOG_FORMAT
  value: {{ .logFormat | quote }}
{{- if .configuration }}
- name: FAIRLEAD_CONFIG
  value: /etc/fairlead/configuration.yaml
{{- end }}
{{- with .proxy }}
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
{{- range $name, $value := .env }}
- name: {{ $name | quote }}
  {{- if kindIs "map" $value }}
  valueFrom: {{- toYaml $value | nindent 4 }}
  {{- else }}
  value: {{ $value | quote }}
  {{- end }}
{{- end }}
{{- end -}}
