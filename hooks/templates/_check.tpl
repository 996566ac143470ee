{{/* How messages begin: what was included, and for which job. */}}
{{- define "fairlead-hooks.asked" -}}
{{- eq .job "fairlead-rollback" | ternary "fairlead-hooks.rollback" (printf "fairlead-hooks.job %s" .job) -}}
{{- end -}}

{{/* Refuses names that Kubernetes would refuse, and those of the objects for going back. */}}
{{- define "fairlead-hooks.checkName" -}}
{{- if or (gt (len .job) 40) (not (regexMatch "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" .job)) -}}
{{- printf "fairlead-hooks.job %s: job must be of at most 40 lower-case letters, digits and hyphens" .job | fail -}}
{{- end -}}
{{- if regexMatch "^fairlead-((pre|post)-)?rollback$|-undo$" .job -}}
{{- printf "fairlead-hooks.job %s: job must not be named like the objects for going back" .job | fail -}}
{{- end -}}
{{- end -}}

{{/* Refuses what would be rendered and not run as it should. */}}
{{- define "fairlead-hooks.check" -}}
{{- $job := include "fairlead-hooks.asked" . -}}
{{- if not (has .mode (list "hook" "job")) -}}
{{- printf "%s: mode (%v) must be hook or job" $job .mode | fail -}}
{{- end -}}
{{- /* Helm takes no notice of hooks for events that it does not know. */}}
{{- range .events | default (list "none") -}}
{{- if not (regexMatch "^(pre|post)-(install|upgrade|rollback|delete)$" .) -}}
{{- printf "%s: events (%v) must be events of Helm, for example pre-upgrade" $job . | fail -}}
{{- end -}}
{{- end -}}
{{- if lt (int .weight) 1 -}}
{{- printf "%s: weight (%v) must be at least 1: what the Job needs has 0" $job .weight | fail -}}
{{- end -}}
{{- if not (or .image.tag .image.digest .root.Chart.AppVersion) -}}
{{- printf "%s: key image.tag is missing, and the chart has no appVersion" $job | fail -}}
{{- end -}}
{{- include "fairlead-hooks.checkDeadlines" . -}}
{{- end -}}

{{/* Refuses deadlines that would end the pod before it has ended itself: killed, it cannot put back what it changed. */}}
{{- define "fairlead-hooks.checkDeadlines" -}}
{{- $seconds := include "fairlead-hooks.seconds" .runTimeout | int -}}
{{- if or (lt $seconds 1) (gt (add $seconds 50) (int64 .activeDeadlineSeconds)) -}}
{{- printf "%s: activeDeadlineSeconds (%v) must be at least 50 s above runTimeout (%s), which must not be 0"
  (include "fairlead-hooks.asked" .) .activeDeadlineSeconds .runTimeout | fail -}}
{{- end -}}
{{- end -}}

{{/* A duration such as 3m30s in seconds; 0 for what is none. */}}
{{- define "fairlead-hooks.seconds" -}}
{{- $duration := . -}}
{{- $seconds := 0 -}}
{{- if regexMatch "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$" $duration -}}
{{- range $unit, $factor := dict "h" 3600 "m" 60 "s" 1 -}}
{{- $count := regexFind (printf "[0-9]+%s" $unit) $duration | trimSuffix $unit | default "0" -}}
{{- $seconds = add $seconds (mul $factor (int $count)) -}}
{{- end -}}
{{- end -}}
{{- $seconds -}}
{{- end -}}
