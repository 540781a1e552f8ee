#!/usr/bin/env bash
# Runs one script of Snakemake's as a Kubernetes job and ends as it ended; NO CLUSTER HAS RUN THIS.
#
#     kubernetes_job.sh CPUS MEMORY_MB MINUTES GPUS SCRIPT
#
# In the environment: KUBERNETES_IMAGE, built from Containerfile; KUBERNETES_CLAIM, the
# PersistentVolumeClaim (ReadWriteMany) that holds the checkout; KUBERNETES_MOUNT, the folder
# where it is mounted here, and hence in the job. kubectl finds the cluster and namespace.
set -euo pipefail

fail() {
    echo "kubernetes_job.sh: $1" >&2
    exit 1
}

[ $# = 5 ] || fail "expected CPUS MEMORY_MB MINUTES GPUS SCRIPT, got $*"
for number in "${@:1:4}"; do
    [[ $number =~ ^[0-9]+$ ]] || fail "expected four whole numbers, got $number"
done
for name in KUBERNETES_IMAGE KUBERNETES_CLAIM KUBERNETES_MOUNT; do
    # They go into YAML between quotes.
    [[ ${!name:-} =~ ^[A-Za-z0-9._/:@-]+$ ]] || fail "$name: expected a plain name in the environment"
done
script=$(realpath "$5")
[[ $script =~ ^[A-Za-z0-9._/-]+$ ]] || fail "$script: expected a path of plain letters"
[[ $script == "$(realpath "$KUBERNETES_MOUNT")"/* ]] || fail "$script: not in $KUBERNETES_MOUNT"

gpus=""
[ "$4" = 0 ] || gpus=", nvidia.com/gpu: \"$4\""

manifest() {
    cat <<YAML
apiVersion: batch/v1
kind: Job
metadata:
  generateName: mcln-pipeline-
spec:
  backoffLimit: 0
  activeDeadlineSeconds: $(($3 * 60))
  ttlSecondsAfterFinished: 3600
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: job
          image: "$KUBERNETES_IMAGE"
          command: [sh, "$script"]
          workingDir: "$PWD"
          resources:
            requests: {cpu: "$1", memory: "$2M"$gpus}
            limits: {cpu: "$1", memory: "$2M"$gpus}
          volumeMounts: [{name: checkout, mountPath: "$KUBERNETES_MOUNT"}]
      volumes:
        - {name: checkout, persistentVolumeClaim: {claimName: "$KUBERNETES_CLAIM"}}
YAML
}

if [ "${KUBERNETES_DRY_RUN:-}" ]; then
    manifest "$@"
    exit
fi
job=$(manifest "$@" | kubectl create -f - -o name)
trap 'kubectl delete --ignore-not-found --wait=false "$job" > /dev/null' EXIT
while true; do
    # A call that fails, as when the control plane restarts, is not a job that failed.
    ended=$(kubectl get "$job" -o 'jsonpath={.status.conditions[?(@.status=="True")].type}') || ended=""
    case $ended in
        *Complete*) exit 0 ;;
        *Failed*)
            kubectl logs "$job" >&2 || true
            exit 1
            ;;
    esac
    sleep 5
done
