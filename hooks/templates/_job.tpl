{{- define "fairlead-hooks.batchJob" -}}
{{- $name := include "fairlead-hooks.jobName" . -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ $name | quote }}
  namespace: {{ .root.Release.Namespace | quote }}
  labels: {{- include "fairlead-hooks.labels" . | nindent 4 }}
  {{- if eq .mode "hook" }}
  annotations:
    helm.sh/hook: {{ join "," .events | quote }}
    helm.sh/hook-weight: {{ int .weight | quote }}
    # A Job that failed stays readable until it is to run again.
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
    # Also when it succeeds: what was refused is reported there, and the Job is gone.
    helm.sh/hook-output-log-policy: hook-succeeded,hook-failed
  {{- end }}
spec:
  backoffLimit: {{ int .backoffLimit }}
  {{- if gt (int64 .ttlSecondsAfterFinished) 0 }}
  ttlSecondsAfterFinished: {{ int64 .ttlSecondsAfterFinished }}
  {{- end }}
  activeDeadlineSeconds: {{ int64 .activeDeadlineSeconds }}
  podFailurePolicy:
    # The first rule that matches counts. Verdicts of the job come first: they hold even when the pod was evicted while
    # it gave one. What is not named here (5 another run, 75 interrupted, a process that died) is tried again.
    rules:
      - action: FailJob
        onExitCodes:
          containerName: {{ .container | default .job | quote }}
          operator: In
          {{- with .failExitCodes }}
          values: [{{ join ", " . }}]
          {{- else }}
          # failed, wrong arguments, dirty, refused, drift, run timeout
          values: [1, 2, 3, 4, 6, 124]
          {{- end }}
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
            status: "True"
  template:
    metadata:
      labels: {{- include "fairlead-hooks.labels" . | nindent 8 }}
      {{- /* By its label a pod passes Istio's webhook by, which may be down when somebody goes back; for an annotation it is asked. */}}
      {{- with get (.podAnnotations | default dict) "sidecar.istio.io/inject" }}
        sidecar.istio.io/inject: {{ . | quote }}
      {{- end }}
      {{- with .podAnnotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      {{- include "fairlead-hooks.pod" . | nindent 6 }}
{{- end -}}

{{- define "fairlead-hooks.pod" -}}
restartPolicy: Never
# At the Job's deadline Kubernetes deletes a pod that has not ended, and with it the reason why it could not start.
# One that has failed is kept: this deadline of its own, a little earlier, makes it fail.
activeDeadlineSeconds: {{ sub (int64 .activeDeadlineSeconds) 20 }}
# For the request in flight and the journal.
terminationGracePeriodSeconds: 30
{{- /* account: the job whose ServiceAccount this one runs as; empty means its own. */}}
serviceAccountName: {{ include "fairlead-hooks.name" (dict "root" .root "job" (get . "account" | default .job)) | quote }}
automountServiceAccountToken: true
# A Service whose name begins with "fairlead" would set variables that the job reads as flags.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- range $key := list "imagePullSecrets" "nodeSelector" "tolerations" "affinity" }}
{{- with index $ $key }}
{{ $key }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
containers:
  - name: {{ .container | default .job | quote }}
    image: {{ include "fairlead-hooks.image" . | quote }}
    imagePullPolicy: {{ .image.pullPolicy | quote }}
    {{- with .args }}
    args: {{- toYaml . | nindent 6 }}
    {{- end }}
    env:
      {{- include "fairlead-hooks.env" . | nindent 6 }}
    # The job writes its outcome itself; one that died without leaves the end of its log.
    terminationMessagePolicy: FallbackToLogsOnError
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
    {{- with .resources }}
    resources: {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- if .configuration }}
    volumeMounts:
      - name: configuration
        mountPath: /etc/fairlead
        readOnly: true
    {{- end }}
{{- if .configuration }}
volumes:
  - name: configuration
    configMap:
      name: {{ include "fairlead-hooks.name" . | quote }}
{{- end }}
{{- end -}}
