/// How much memory this process may use: what the machine has left and what its control groups allow.
public struct MemoryLimits: Sendable, Equatable {
    /// The smallest limit of all groups above this process; nil without one.
    public let limitBytes: UInt64?
    /// What can still be taken without swapping or being killed, by the machine and by the groups.
    public let availableBytes: UInt64
    /// The machine's memory.
    public let totalBytes: UInt64

    public init(limitBytes: UInt64?, availableBytes: UInt64, totalBytes: UInt64) {
        self.limitBytes = limitBytes
        self.availableBytes = availableBytes
        self.totalBytes = totalBytes
    }

    public static func current() -> MemoryLimits {
        compute(
            meminfo: SmallFile.kernelText("/proc/meminfo") ?? "",
            groups: CgroupLayout.current().directories(controller: "memory"), read: SmallFile.kernelText)
    }

    /// The same with one limit more.
    public func limited(to bytes: UInt64?) -> MemoryLimits {
        guard let bytes else { return self }
        return MemoryLimits(
            limitBytes: min(limitBytes ?? bytes, bytes), availableBytes: min(availableBytes, bytes),
            totalBytes: totalBytes)
    }

    /// The control groups above this process whose processes the kernel kills all together when memory runs out.
    public static func groupsKilledTogether() -> [String] {
        groupsKilledTogether(CgroupLayout.current().directories(controller: "memory"), read: SmallFile.kernelText)
    }

    static func groupsKilledTogether(_ groups: [CgroupLayout.Directory], read: (String) -> String?) -> [String] {
        groups.map(\.path).filter { read($0 + "/memory.oom.group").flatMap(kernelInteger) == 1 }
    }

    static func compute(
        meminfo: String, groups: [CgroupLayout.Directory], read: (String) -> String?
    ) -> MemoryLimits {
        let total = kernelTable(meminfo, "MemTotal") ?? 0
        var limit: UInt64?
        var available = kernelTable(meminfo, "MemAvailable") ?? 0
        for group in groups {
            guard let own = groupLimit(group, read) else { continue }
            limit = min(limit ?? own.limit, own.limit)
            available = min(available, own.limit - min(own.limit, own.used))
        }
        return MemoryLimits(limitBytes: limit, availableBytes: available, totalBytes: total)
    }

    /// A group's limit and what it uses, not counting file pages that the kernel can drop at once.
    private static func groupLimit(
        _ group: CgroupLayout.Directory, _ read: (String) -> String?
    ) -> (limit: UInt64, used: UInt64)? {
        let isFirst = group.version == .one
        let limitFile = isFirst ? "/memory.limit_in_bytes" : "/memory.max"
        let usageFile = isFirst ? "/memory.usage_in_bytes" : "/memory.current"
        guard let limit = read(group.path + limitFile).flatMap(kernelInteger), limit >= 0,
            limit < noLimit
        else { return nil }
        let usage = read(group.path + usageFile).flatMap(kernelInteger) ?? 0
        let statistics = read(group.path + "/memory.stat") ?? ""
        let droppable = kernelTable(statistics, isFirst ? "total_inactive_file" : "inactive_file") ?? 0
        let used = UInt64(clamping: usage)
        return (UInt64(limit), used - min(used, droppable))
    }

    /// Version 1 writes "none" as the largest number of pages.
    private static let noLimit: Int64 = 1 << 60
}

/// The value of one line of a table such as `MemTotal:  8000 kB` or `inactive_file 4096`, in bytes.
func kernelTable(_ text: String, _ name: String) -> UInt64? {
    for line in text.split(separator: "\n") {
        let fields = line.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == ":" })
        guard fields.count >= 2, fields[0] == name, let value = UInt64(fields[1]) else { continue }
        guard fields.count > 2, fields[2] == "kB" else { return value }
        let (bytes, overflows) = value.multipliedReportingOverflow(by: 1024)
        return overflows ? nil : bytes
    }
    return nil
}

/// The memory of a process as the kernel counts it.
public struct ProcessMemory: Sendable, Equatable {
    /// All pages in memory, shared ones too.
    public let residentBytes: UInt64
    /// Heaps, stacks and private data: what the process costs.
    public let anonymousBytes: UInt64
    /// Mapped files, which the kernel can drop and read again.
    public let fileBytes: UInt64

    /// Reads the counts; nil when there is no such process.
    public static func of(processID: Int32) -> ProcessMemory? {
        SmallFile.kernelText("/proc/\(processID)/status").flatMap(ProcessMemory.init(status:))
    }

    /// The text of `/proc/PID/status`; a process that has ended but is not reaped has no memory lines.
    init?(status: String) {
        guard let resident = kernelTable(status, "VmRSS") else { return nil }
        residentBytes = resident
        anonymousBytes = kernelTable(status, "RssAnon") ?? 0
        fileBytes = kernelTable(status, "RssFile") ?? 0
    }
}
