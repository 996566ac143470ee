{{/*
ServiceAccount, roles, bindings and Job from one dict. README.md explains its keys; every template of this chart takes it,
filled up with the defaults below, unless it says otherwise.
*/}}
{{- define "fairlead-hooks.job" -}}
{{- $job := include "fairlead-hooks.defaults" . | fromYaml -}}
{{- include "fairlead-hooks.fill" (dict "of" "fairlead-hooks.job" "into" $job "from" . "at" "") -}}
{{- include "fairlead-hooks.asText" $job -}}
{{- include "fairlead-hooks.checkName" $job -}}
{{- include "fairlead-hooks.check" $job -}}
{{- include "fairlead-hooks.access" $job }}
{{- include "fairlead-hooks.configMap" $job }}
---
{{ include "fairlead-hooks.batchJob" $job }}
{{- end -}}

{{/* The configuration file, there before the Job. */}}
{{- define "fairlead-hooks.configMap" -}}
{{- with .configuration }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "fairlead-hooks.name" $ | quote }}
  namespace: {{ $.root.Release.Namespace | quote }}
  {{- include "fairlead-hooks.accessMetadata" $ | nindent 2 }}
data:
  configuration.yaml: |
    {{- trim . | nindent 4 }}
{{- end }}
{{- end -}}

{{/* All keys there are. null: must be given. */}}
{{- define "fairlead-hooks.defaults" -}}
root: null
job: null
# Empty means the name of the job.
container: ""
image:
  registry: ""
  repository: null
  # Empty means the appVersion of the chart that uses this one.
  tag: ""
  # Wins over the tag.
  digest: ""
  pullPolicy: IfNotPresent
args: []
env: {}
# Text of a file that the job finds under the path in FAIRLEAD_CONFIG; empty means none.
configuration: ""
mode: hook
events: [pre-upgrade]
weight: 10
component: hook
rules: []
namespaceRules: []
otherNamespaces: {}
undoRules: []
undoOtherNamespaces: {}
undoneBy: []
# Empty means those of fairlead's own jobs.
failExitCodes: []
backoffLimit: 4
# Behind the name of the Job, and of nothing else.
suffix: ""
# 0: it stays.
ttlSecondsAfterFinished: 0
# With the 30 s that a pod gets for leaving below the 5 minutes that Helm waits for a hook.
activeDeadlineSeconds: 260
runTimeout: 3m
# Empty means the name of the release.
release: ""
logFormat: plain
proxy:
  http: ""
  https: ""
  noProxy: ""
resources: {}
imagePullSecrets: []
nodeSelector: {}
tolerations: []
affinity: {}
extraLabels: {}
# A mesh sidecar does not end with the container beside it: the Job would not complete.
podAnnotations:
  sidecar.istio.io/inject: "false"
  linkerd.io/inject: disabled
{{- end -}}

{{/*
Overwrites the defaults (into) with what was given (from). For messages: of which template, at which prefix. A key given as
null counts as not given, as in values.
*/}}
{{- define "fairlead-hooks.fill" -}}
{{- $from := .from -}}
{{- $into := .into -}}
{{- $of := .of -}}
{{- $at := .at -}}
{{- with $from.Error -}}
{{- /* What fromYaml returns for text that is no YAML. */}}
{{- printf "%s: %s" $of . | fail -}}
{{- end -}}
{{- range $key, $_ := $from -}}
{{- if not (hasKey $into $key) -}}
{{- printf "%s: unknown key %s%s; there are %s" $of $at $key (keys $into | sortAlpha | join ", ") | fail -}}
{{- end -}}
{{- end -}}
{{- range $key, $default := $into -}}
{{- $given := index $from $key -}}
{{- if and (kindIs "invalid" $default) (empty $given) -}}
{{- printf "%s: key %s%s is missing" $of $at $key | fail -}}
{{- else if has (print $at $key) (list "image" "proxy") -}}
{{- include "fairlead-hooks.fill" (dict "of" $of "into" $default "from" ($given | default dict) "at" (print $key ".")) -}}
{{- else if not (kindIs "invalid" $given) -}}
{{- $_ := set $into $key $given -}}
{{- end -}}
{{- end -}}
{{- end -}}
