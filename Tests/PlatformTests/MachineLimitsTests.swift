import Glibc
import Testing

@testable import Platform

@Suite struct CgroupLayoutTests {
    private static let firstMounts = """
        30 24 0:27 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
        31 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
        32 30 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
        """

    @Test func versionTwoGivesTheOwnGroupAndAllAboveIt() {
        let layout = CgroupLayout(
            membership: "0::/user.slice/apus.service\n",
            mounts: "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n")
        let expected = ["/sys/fs/cgroup/user.slice/apus.service", "/sys/fs/cgroup/user.slice", "/sys/fs/cgroup"]
        for controller in ["cpu", "memory"] {
            #expect(layout.directories(controller: controller).map(\.path) == expected)
            #expect(layout.directories(controller: controller).allSatisfy { $0.version == .two })
        }
    }

    @Test func versionOneFindsEachControllerInItsOwnTree() {
        let layout = CgroupLayout(
            membership: "4:memory:/a/b\n3:cpu,cpuacct:/\n1:name=systemd:/x\n0::/\n", mounts: Self.firstMounts)
        #expect(
            layout.directories(controller: "memory").map(\.path) == [
                "/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/memory",
            ])
        #expect(
            layout.directories(controller: "cpu") == [.init(path: "/sys/fs/cgroup/cpu,cpuacct", version: .one)])
    }

    @Test func aContainersMountShowsItsOwnGroupAtTheTop() {
        let layout = CgroupLayout(
            membership: "4:memory:/docker/abc/inner\n",
            mounts: "32 30 0:29 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n")
        #expect(
            layout.directories(controller: "memory").map(\.path) == [
                "/sys/fs/cgroup/memory/inner", "/sys/fs/cgroup/memory",
            ])
    }

    @Test func aGroupOutsideTheMountIsLimitedByTheMountPoint() {
        let layout = CgroupLayout(
            membership: "0::/../other\n", mounts: "1 2 0:3 / /cg\\040x rw - cgroup2 none rw\n")
        #expect(layout.directories(controller: "cpu").map(\.path) == ["/cg x"])
    }

    @Test(arguments: ["", "nonsense", "0:", "0::relative", "::::", "1 2 3 - cgroup2 x y\n"])
    func unclearTextsGiveNoGroups(text: String) {
        #expect(CgroupLayout(membership: text, mounts: text).directories(controller: "cpu").isEmpty)
    }
}

@Suite struct OutOfMemoryKillsTests {
    private func count(_ version: CgroupLayout.Version, _ files: [String: String]) -> UInt64? {
        let groups = ["/g/a", "/g"].map { CgroupLayout.Directory(path: $0, version: version) }
        return OutOfMemoryKills.count(groups: groups) { files[$0] }
    }

    @Test func theInnermostGroupThatCountsIsBelieved() {
        let events = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"
        #expect(count(.two, ["/g/a/memory.events": events, "/g/memory.events": "oom_kill 9"]) == 2)
        #expect(count(.two, ["/g/memory.events": events]) == 2)
        #expect(count(.one, ["/g/a/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"]) == 5)
    }

    @Test func outsideOfGroupsTheMachineCounts() {
        #expect(count(.two, ["/proc/vmstat": "nr_free_pages 7\noom_kill 4\n"]) == 4)
        #expect(count(.two, ["/g/memory.events": "oom 1"]) == nil)
    }

    @Test func thisMachineCounts() { #expect(OutOfMemoryKills.count() != nil) }
}

@Suite struct CPULimitsTests {
    private let groups = ["/g/a", "/g"].map { CgroupLayout.Directory(path: $0, version: .two) }

    @Test func theSmallestQuotaOfAllGroupsHolds() {
        let files = ["/g/a/cpu.max": "300000 100000\n", "/g/cpu.max": "150000 100000\n"]
        #expect(CPULimits.quota(of: groups, read: { files[$0] }) == 1.5)
        #expect(CPULimits.quota(of: groups, read: { _ in "max 100000\n" }) == nil)
        #expect(CPULimits.quota(of: groups, read: { _ in nil }) == nil)
    }

    @Test func versionOneWritesMinusOneForNoQuota() {
        let group = [CgroupLayout.Directory(path: "/c", version: .one)]
        let some = ["/c/cpu.cfs_quota_us": "50000\n", "/c/cpu.cfs_period_us": "100000\n"]
        #expect(CPULimits.quota(of: group, read: { some[$0] }) == 0.5)
        let none = ["/c/cpu.cfs_quota_us": "-1\n", "/c/cpu.cfs_period_us": "100000\n"]
        #expect(CPULimits.quota(of: group, read: { none[$0] }) == nil)
    }

    @Test(arguments: ["", "max", "1", "x y", "0 100", "100 0", "-5 100", "1 2 3", "99999999999999999999 1"])
    func anUnclearQuotaIsNone(text: String) {
        #expect(CPULimits.quota(cpuMax: text) == nil)
    }

    @Test(
        arguments: [
            (8, nil, 8), (8, 0.5, 1), (8, 1.5, 2), (8, 2.0, 2), (2, 6.0, 2), (0, nil, 1), (1, 0.01, 1),
        ] as [(Int, Double?, Int)])
    func theUsableCountIsAtLeastOne(affinity: Int, quota: Double?, usable: Int) {
        #expect(CPULimits(affinityCount: affinity, quota: quota).usableCount == usable)
    }

    @Test func thisMachineHasProcessorsAndMemory() {
        #expect(CPULimits.current().usableCount >= 1)
        #expect(CPULimits.current().affinityCount <= sysconf(Int32(_SC_NPROCESSORS_CONF)))
        let memory = MemoryLimits.current()
        #expect(memory.totalBytes > 0)
        #expect(memory.availableBytes > 0)
        #expect(memory.availableBytes <= memory.totalBytes)
    }
}

@Suite struct MemoryLimitsTests {
    private let meminfo = "MemTotal:        8000 kB\nMemFree:  100 kB\nMemAvailable:    4000 kB\n"

    @Test func withoutGroupsTheMachineDecides() {
        let limits = MemoryLimits.compute(meminfo: meminfo, groups: [], read: { _ in nil })
        #expect(limits == MemoryLimits(limitBytes: nil, availableBytes: 4_096_000, totalBytes: 8_192_000))
    }

    @Test func theTightestGroupDecidesAndDroppableFilePagesAreFree() {
        let groups = ["/g/a", "/g"].map { CgroupLayout.Directory(path: $0, version: .two) }
        let files = [
            "/g/a/memory.max": "max\n", "/g/a/memory.current": "5\n",
            "/g/memory.max": "1000000\n", "/g/memory.current": "700000\n",
            "/g/memory.stat": "anon 1\ninactive_file 200000\nactive_file 9\n",
        ]
        let limits = MemoryLimits.compute(meminfo: meminfo, groups: groups, read: { files[$0] })
        #expect(limits.limitBytes == 1_000_000)
        #expect(limits.availableBytes == 500_000)
    }

    @Test func groupsThatAreKilledAsAWholeAreNamed() {
        let groups = ["/g/a", "/g"].map { CgroupLayout.Directory(path: $0, version: .two) }
        let files = ["/g/a/memory.oom.group": "0\n", "/g/memory.oom.group": "1\n"]
        #expect(MemoryLimits.groupsKilledTogether(groups, read: { files[$0] }) == ["/g"])
        #expect(MemoryLimits.groupsKilledTogether(groups, read: { _ in nil }).isEmpty)
    }

    @Test func aFurtherLimitOnlyNarrows() {
        let limits = MemoryLimits(limitBytes: nil, availableBytes: 1000, totalBytes: 5000)
        #expect(limits.limited(to: nil) == limits)
        #expect(limits.limited(to: 300) == MemoryLimits(limitBytes: 300, availableBytes: 300, totalBytes: 5000))
        let narrow = MemoryLimits(limitBytes: 200, availableBytes: 100, totalBytes: 5000)
        #expect(narrow.limited(to: 300) == narrow)
    }

    @Test func versionOneWritesNoLimitAsAHugeNumber() {
        let group = [CgroupLayout.Directory(path: "/m", version: .one)]
        var files = ["/m/memory.limit_in_bytes": "9223372036854771712\n", "/m/memory.usage_in_bytes": "7\n"]
        #expect(MemoryLimits.compute(meminfo: meminfo, groups: group, read: { files[$0] }).limitBytes == nil)
        files["/m/memory.limit_in_bytes"] = "67108864\n"
        files["/m/memory.usage_in_bytes"] = "99999999\n"
        let limits = MemoryLimits.compute(meminfo: meminfo, groups: group, read: { files[$0] })
        #expect(limits.limitBytes == 67_108_864)
        #expect(limits.availableBytes == 0)
    }

    @Test func theMemoryOfAProcessIsRead() throws {
        let own = try #require(ProcessMemory.of(processID: getpid()))
        #expect(own.residentBytes > 0)
        #expect(own.residentBytes >= own.anonymousBytes)
        #expect(ProcessMemory.of(processID: -1) == nil)
        let zombie = ProcessMemory(status: "Name:\tsh\nState:\tZ (zombie)\n")
        #expect(zombie == nil)
        let text = ProcessMemory(status: "VmRSS:\t     12 kB\nRssAnon:\t  8 kB\nRssFile:\t 4 kB\n")
        #expect(text?.residentBytes == 12288)
        #expect(text?.anonymousBytes == 8192)
        #expect(text?.fileBytes == 4096)
    }
}
