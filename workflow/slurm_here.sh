#!/usr/bin/env bash
# A Slurm of one node, on this machine, as root, to try profiles/slurm with; no cluster to work on.
#
#     apt-get install slurmctld slurmd slurm-client munge
#     workflow/slurm_here.sh start FOLDER     # configuration, state and logs go there
#     workflow/slurm_here.sh stop FOLDER
#
# No accounting: status queries need `--slurm-status-command squeue`. Jobs are not bound to CPUs,
# and memory is not counted: the node claims 64 GB, which is above what any rule asks for.
set -euo pipefail

DEFAULT=/etc/slurm/slurm.conf # jobs look here alone: the plugin takes SLURM_CONF from them

fail() {
    echo "slurm_here.sh: $1" >&2
    exit 1
}

# A run that was killed leaves its link, and often nothing else.
remove_left_over() {
    [ -L $DEFAULT ] || return 0
    local pid
    pid=$(cat "$(dirname "$(readlink $DEFAULT)")/slurmctld.pid" 2> /dev/null) || pid=none
    kill -0 "$pid" 2> /dev/null || rm $DEFAULT
}

write_conf() {
    cat > "$folder/slurm.conf" <<CONF
ClusterName=here
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
NodeName=here NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(getconf _NPROCESSORS_ONLN) RealMemory=64000
PartitionName=here Nodes=here Default=YES MaxTime=INFINITE State=UP
CONF
}

start() {
    for program in munged slurmctld slurmd sbatch; do
        command -v $program > /dev/null || fail "expected $program; apt-get install" \
            "slurmctld slurmd slurm-client munge"
    done
    [ "$(id -u)" = 0 ] || fail "expected to be run by root, which the daemons need"
    remove_left_over
    [ ! -e $DEFAULT ] || fail "$DEFAULT is there: this machine has a Slurm already"
    mkdir -p "$folder/state" "$folder/spool" "$(dirname $DEFAULT)"
    chmod 755 "$folder"
    write_conf
    ln -s "$folder/slurm.conf" $DEFAULT
    (umask 077 && head -c 128 /dev/urandom > "$folder/munge.key")
    munged --force --key-file "$folder/munge.key" --socket "$folder/munge.socket" \
        --pid-file "$folder/munged.pid" --log-file "$folder/munged.log" \
        --seed-file "$folder/munged.seed"
    slurmctld -f "$folder/slurm.conf"
    slurmd -f "$folder/slurm.conf" -N here
    for _ in $(seq 60); do
        if [ "$(sinfo --noheader --format %T 2> /dev/null)" = idle ]; then
            sinfo
            return
        fi
        sleep 0.5
    done
    tail -n 20 "$folder"/*.log >&2
    stop
    fail "the node is not idle after 30 seconds; the logs above say why"
}

stop() {
    for daemon in slurmd slurmctld munged; do
        [ ! -e "$folder/$daemon.pid" ] || kill "$(cat "$folder/$daemon.pid")" || true
    done
    [ "$(readlink $DEFAULT)" != "$folder/slurm.conf" ] || rm $DEFAULT
}

[ $# = 2 ] || fail "expected: slurm_here.sh start|stop FOLDER"
folder=$(realpath -m "$2")
case $1 in
    start) start ;;
    stop) stop ;;
    *) fail "expected start or stop, got $1" ;;
esac
