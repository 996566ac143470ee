{{/* An image of one job: what it leaves empty is as in all images. */}}
{{- define "fairlead.image" -}}
{{- $all := .root.Values.image -}}
{{- $image := deepCopy .image -}}
{{- range list "registry" "tag" "pullPolicy" -}}
{{- $_ := index $image . | default (index $all .) | set $image . -}}
{{- end -}}
{{- toJson $image -}}
{{- end -}}
