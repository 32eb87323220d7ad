// The text of the systemd unit, and the names under which lemond's own unit is known. Pure.

export const UNIT_NAME = "hal0-dispatch.service";

/** `lemond.service` since Lemonade 10.3, `lemonade-server.service` before. The first is taken where none is found. */
export const LEMOND_UNITS = ["lemond.service", "lemonade-server.service"] as const;
export type LemondUnit = (typeof LEMOND_UNITS)[number];

export interface UnitOptions {
  /** Absolute path of the executable on the host. */
  readonly executable: string;
  /** Variables for the service, with keys in them; read by systemd, so the service's user need not see it. */
  readonly environmentFile: string;
  /** lemond's unit, started along. Naming both would start a leftover of an older Lemonade beside the new one. */
  readonly lemond: LemondUnit;
  /** BUN_CONFIG_MAX_HTTP_REQUESTS. */
  readonly mostFetches: string;
  /** The system user that it runs as, and the name of its folder below /var/lib. */
  readonly user: string;
  /** False where the container refuses the mounts that UNMOUNTABLE asks for. */
  readonly canMountProc: boolean;
}

/**
 * The two that make systemd mount a /proc of the service's own. An unprivileged container without nesting refuses that
 * mount, and the start ends in 226/NAMESPACE; all others work there (measured: Proxmox's LXC 5, systemd 252).
 */
export const UNMOUNTABLE = ["ProtectControlGroups", "ProtectKernelTunables"] as const;

export function unitText(options: UnitOptions): string {
  const { executable, environmentFile, lemond, mostFetches, user, canMountProc } = options;
  return `# Written by \`hal0-dispatch install\`, which replaces it at an upgrade.
# Changes of your own: systemctl edit ${UNIT_NAME}
[Unit]
Description=hal0-dispatch, the OpenAI API in front of Lemonade
Wants=network-online.target
After=network-online.target
# lemond is started first and not required: without it this service runs, says so, and picks it up when it comes.
Wants=${lemond}
After=${LEMOND_UNITS.join(" ")}
# What fails at each start is given up after 5 of them, and says so.
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
ExecStart=${executable}
# A configuration with faults fails the reload, and the one that runs stays.
ExecReload=/bin/sh -c '${executable} --check >/dev/null && kill -HUP $$MAINPID'
# Keys: HAL0_DISPATCH_API_KEYS, LEMONADE_API_KEY and those of remotes. Mode 0600; systemd reads it as root.
EnvironmentFile=-${environmentFile}
# Bun runs 256 fetches at once unless told otherwise: hung requests of one slot would stop all others.
Environment=BUN_CONFIG_MAX_HTTP_REQUESTS=${mostFetches}
LimitNOFILE=131072

Restart=on-failure
RestartSec=2
# Starting again mends none of these: a fault of the configuration; no program, no user, no mounts.
RestartPreventExitStatus=2 203 217 226
# Fed only while the server answers a request of its own.
WatchdogSec=30
# Not SIGABRT: Bun would answer it with a crash report of its own.
WatchdogSignal=SIGKILL
TimeoutStartSec=60
# A longer drain_s asks systemd for the time that it needs.
TimeoutStopSec=60

# A system user of its own, made by install (DynamicUser= fails in unprivileged containers). It writes to its folder alone.
User=${user}
StateDirectory=${user}
StateDirectoryMode=0700
UMask=0077
NoNewPrivileges=yes
# For a port below 1024: systemctl edit, and CAP_NET_BIND_SERVICE here and in AmbientCapabilities=.
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
${
  canMountProc
    ? UNMOUNTABLE.map((name) => `${name}=yes`).join("\n")
    : `# ${UNMOUNTABLE.join("= and ")}= are left out: this container refused their mounts.\n# Proxmox: Options → Features → nesting, start the container again, then hal0-dispatch install.`
}
LockPersonality=yes
RemoveIPC=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
KeyringMode=private
# Netlink: the addresses of this machine are asked for with it.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @keyring @memlock
# What is refused is refused with an error, not with a kill.
SystemCallErrorNumber=EPERM
# Whether a model's process still runs is read from /proc, and lemond's children belong to another user:
# all of /proc stays visible (no ProtectProc=invisible, ProcSubset=pid or PrivatePIDs=).
ProtectProc=default
ProcSubset=all
# Must be off: JavaScript is compiled to machine code while it runs.
MemoryDenyWriteExecute=no

[Install]
WantedBy=multi-user.target
`;
}
