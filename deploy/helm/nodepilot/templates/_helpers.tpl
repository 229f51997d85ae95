{{- define "nodepilot.name" -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- end }}

{{- define "nodepilot.selector" -}}
app.kubernetes.io/name: nodepilot
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "nodepilot.labels" -}}
{{ include "nodepilot.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "nodepilot.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* What has no default that would be right for anybody. */ -}}
{{- define "nodepilot.check" -}}
{{- if not .Values.trustDomain -}}
{{- fail "\n\ntrustDomain is missing: the trust domain of every identity, such as --set trustDomain=example.org. With ca.mode=istiod it must be the mesh's, cluster.local unless it was changed.\n" -}}
{{- end -}}
{{- if not .Values.ca.mode -}}
{{- fail "\n\nca.mode is missing: who signs the certificates? --set ca.mode=istiod (istiod or istio-csr), =vault (Vault or OpenBao), or for trials =embedded, which makes every node a root of its own: pods of different nodes do not trust each other then.\n" -}}
{{- end -}}
{{- if and (eq .Values.ca.mode "vault") (not .Values.ca.vault.address) -}}
{{- fail "\n\nca.vault.address is missing: --set ca.vault.address=https://vault.example.org:8200\n" -}}
{{- end -}}
{{- if and (or .Values.podMonitor.enabled .Values.prometheusRule.enabled) (not .Values.telemetry.enabled) -}}
{{- fail "\n\npodMonitor and prometheusRule are about what telemetry serves: --set telemetry.enabled=true\n" -}}
{{- end -}}
{{- end }}

{{- define "nodepilot.config" -}}
trust_domain: {{ .Values.trustDomain }}
listen:
  path: /run/nodepilot/public/api.sock
state_dir: {{ eq .Values.ca.mode "embedded" | ternary "/var/lib/nodepilot/state" "/run/nodepilot/state" }}
ca:
{{- with .Values.ca }}
{{- if eq .mode "embedded" }}
  local: {}
{{- else if eq .mode "istiod" }}
  istiod:
    addresses: {{ toJson .istiod.addresses }}
    ask_as: node_agent
    cluster_id: {{ quote .istiod.clusterId }}
    token_file: /var/run/secrets/nodepilot/ca-token
    root_file: /var/run/secrets/nodepilot/ca.pem
{{- else }}
  vault:
    address: {{ .vault.address }}
    mount: {{ quote .vault.mount }}
    role: {{ quote .vault.role }}
    {{- with .vault.namespace }}
    namespace: {{ quote . }}
    {{- end }}
    {{- if .vault.caConfigMap }}
    ca_file: /var/run/secrets/nodepilot/ca.pem
    {{- end }}
    auth:
      kubernetes:
        mount: {{ quote .vault.auth.mount }}
        role: {{ quote .vault.auth.role }}
        jwt_file: /var/run/secrets/nodepilot/ca-token
{{- end }}
{{- end }}
attestors:
  {{- if .Values.cgroupV2 }}
  host_cgroup: /host/sys/fs/cgroup
  {{- end }}
  kubernetes:
    kubelet_host_env: NODE_IP
    node_name_env: MY_NODE_NAME
    token_file: /var/run/secrets/nodepilot/kubelet-token
    {{- if .Values.kubelet.verify }}
    ca_file: /var/run/secrets/nodepilot/kubelet-ca.pem
    {{- else }}
    skip_verify: true
    {{- end }}
identities:
  {{- toYaml .Values.identities | nindent 2 }}
{{- if .Values.telemetry.enabled }}
telemetry:
  listen: {{ printf "0.0.0.0:%v" .Values.telemetry.port | quote }}
  per_identity: {{ .Values.telemetry.perIdentity }}
{{- end }}
{{- with .Values.config }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* What a probe asks: the path with telemetry, the command without. */ -}}
{{- define "nodepilot.probe" -}}
{{- $path := index . 1 -}}
{{- $command := index . 2 -}}
{{- with index . 0 -}}
{{- if .Values.telemetry.enabled -}}
httpGet:
  path: {{ $path }}
  port: telemetry
{{- else -}}
exec:
  command: [nodepilot, {{ $command }}]
{{- end -}}
{{- end -}}
{{- end }}
