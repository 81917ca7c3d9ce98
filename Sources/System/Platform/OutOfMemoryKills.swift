/// How often the kernel has killed a process for want of memory, as far as this process can see it.
///
/// A process that dies of SIGKILL does not know who sent it: a count that rose meanwhile is the only hint.
public enum OutOfMemoryKills {
    /// Kills in the process's own control group and below, else in the whole machine; nil where nobody counts.
    public static func count() -> UInt64? {
        count(groups: CgroupLayout.current().directories(controller: "memory"), read: SmallFile.kernelText)
    }

    static func count(groups: [CgroupLayout.Directory], read: (String) -> String?) -> UInt64? {
        for group in groups {
            let file = group.version == .one ? "/memory.oom_control" : "/memory.events"
            if let kills = read(group.path + file).flatMap({ kernelTable($0, "oom_kill") }) { return kills }
        }
        return read("/proc/vmstat").flatMap { kernelTable($0, "oom_kill") }
    }
}
