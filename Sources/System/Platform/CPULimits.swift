import CPlatform

/// How much processor time this process may use: its affinity mask and the quotas of its control groups.
///
/// The host's number of cores says nothing about either.
public struct CPULimits: Sendable, Equatable {
    /// Processors in the affinity mask.
    public let affinityCount: Int
    /// Processors' worth of time per period, the smallest of all groups above this process; nil without a quota.
    public let quota: Double?

    public init(affinityCount: Int, quota: Double?) {
        self.affinityCount = affinityCount
        self.quota = quota
    }

    /// Threads that can compute at the same time: a part of a processor counts as one.
    public var usableCount: Int {
        guard let quota, quota < Double(affinityCount) else { return max(1, affinityCount) }
        return max(1, Int(quota.rounded(.up)))
    }

    public static func current() -> CPULimits {
        let quota = CPULimits.quota(
            of: CgroupLayout.current().directories(controller: "cpu"), read: SmallFile.kernelText)
        return CPULimits(affinityCount: max(1, Int(apus_affinity_count())), quota: quota)
    }

    /// The smallest quota of the groups; `read` gives a file's text, nil where there is none.
    static func quota(of directories: [CgroupLayout.Directory], read: (String) -> String?) -> Double? {
        directories.compactMap { directory in
            switch directory.version {
            case .one:
                quota(
                    microseconds: read(directory.path + "/cpu.cfs_quota_us"),
                    period: read(directory.path + "/cpu.cfs_period_us"))
            case .two:
                read(directory.path + "/cpu.max").flatMap(quota(cpuMax:))
            }
        }.min()
    }

    /// The text of a version 2 group's `cpu.max`, such as `150000 100000`; nil for `max`.
    static func quota(cpuMax text: String) -> Double? {
        let fields = text.split(whereSeparator: \.isWhitespace)
        guard fields.count == 2 else { return nil }
        return quota(microseconds: String(fields[0]), period: String(fields[1]))
    }

    /// A quota of -1 stands for none.
    static func quota(microseconds: String?, period: String?) -> Double? {
        guard let quota = microseconds.flatMap(kernelInteger), let period = period.flatMap(kernelInteger),
            quota > 0, period > 0
        else { return nil }
        return Double(quota) / Double(period)
    }
}

/// A number as the kernel writes it into a file: digits and a line end.
func kernelInteger(_ text: String) -> Int64? {
    Int64(text.filter { !$0.isWhitespace })
}
