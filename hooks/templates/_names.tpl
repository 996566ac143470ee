{{/* Name of the job's objects in the namespace. A hash keeps a name that must be cut unlike its neighbours. */}}
{{- define "fairlead-hooks.name" -}}
{{- $name := printf "%s-%s" .root.Release.Name .job -}}
{{- if gt (len $name) 63 -}}
{{- /* 53 is 63 without the hash and two hyphens. */}}
{{- $start := trunc (int (sub 53 (len .job))) .root.Release.Name | trimSuffix "-" | trimSuffix "." -}}
{{- $name = printf "%s-%s-%s" $start (sha256sum .root.Release.Name | trunc 8) .job -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* Name of the Job itself, which cannot be changed once it is there: where it is no hook, each needs another one. */}}
{{- define "fairlead-hooks.jobName" -}}
{{- include "fairlead-hooks.name" (dict "root" .root "job" (print .job (get . "suffix"))) -}}
{{- end -}}

{{/* Name of the job's cluster-scoped objects. The same release name may exist in several namespaces, hence the hash. */}}
{{- define "fairlead-hooks.clusterName" -}}
{{- printf "%s-%s-%s" .root.Chart.Name .job (printf "%s/%s" .root.Release.Namespace .root.Release.Name | sha256sum | trunc 8) -}}
{{- end -}}

{{- define "fairlead-hooks.labels" -}}
{{- $labels := dict
  "app.kubernetes.io/name" .job
  "app.kubernetes.io/instance" .root.Release.Name
  "app.kubernetes.io/version" (.root.Chart.AppVersion | default .root.Chart.Version | replace "+" "_")
  "app.kubernetes.io/component" .component
  "app.kubernetes.io/part-of" .root.Chart.Name
  "app.kubernetes.io/managed-by" .root.Release.Service
-}}
{{- merge $labels .extraLabels | toYaml -}}
{{- end -}}

{{- define "fairlead-hooks.image" -}}
{{- $name := list .image.registry .image.repository | compact | join "/" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
