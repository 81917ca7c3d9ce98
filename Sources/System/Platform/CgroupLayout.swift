/// Where the control groups of this process are in the file tree: a pure function of two texts of the kernel's.
///
/// Linux has two generations side by side. In version 1 each controller has a tree of its own; in version 2 there is
/// one tree for all. A limit of any group above the process's own holds as well, so each list goes from the own group
/// up to the mount point.
struct CgroupLayout: Equatable {
    enum Version: Equatable { case one, two }

    struct Directory: Equatable {
        let path: String
        let version: Version
    }

    private struct Mount {
        let point: String
        /// The group that is visible at the mount point: not `/` inside a container.
        let root: String
        let version: Version
        let options: Set<Substring>
    }

    private struct Membership {
        let controllers: Set<Substring>
        let path: String
    }

    private var directoriesOfController: [String: [Directory]] = [:]

    /// - `membership`: the text of `/proc/self/cgroup`.
    /// - `mounts`: the text of `/proc/self/mountinfo`.
    init(membership: String, mounts: String) {
        let memberships = membership.split(separator: "\n").compactMap(CgroupLayout.membership)
        let mounts = mounts.split(separator: "\n").compactMap(CgroupLayout.mount)
        for controller in ["cpu", "memory"] {
            var found: [Directory] = []
            for member in memberships {
                let version: Version = member.controllers.isEmpty ? .two : .one
                if version == .one && !member.controllers.contains(Substring(controller)) { continue }
                let mount = mounts.last {
                    $0.version == version && (version == .two || $0.options.contains(Substring(controller)))
                }
                if let mount { found += CgroupLayout.chain(of: member.path, in: mount) }
            }
            directoriesOfController[controller] = found
        }
    }

    /// The groups that limit this process, innermost first; `controller` is `cpu` or `memory`.
    func directories(controller: String) -> [Directory] { directoriesOfController[controller] ?? [] }

    /// One line such as `4:memory:/a/b` (version 1) or `0::/a/b` (version 2).
    private static func membership(_ line: Substring) -> Membership? {
        let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[2].hasPrefix("/") else { return nil }
        return Membership(controllers: Set(parts[1].split(separator: ",")), path: String(parts[2]))
    }

    /// One line of mountinfo: fields, a lone dash, then type, source and the controllers among the options.
    private static func mount(_ line: Substring) -> Mount? {
        let fields = line.split(separator: " ")
        guard let dash = fields.firstIndex(of: "-"), dash >= 5, dash + 3 < fields.count else { return nil }
        let version: Version
        switch fields[dash + 1] {
        case "cgroup": version = .one
        case "cgroup2": version = .two
        default: return nil
        }
        return Mount(
            point: unescaped(fields[4]), root: unescaped(fields[3]), version: version,
            options: Set(fields[dash + 3].split(separator: ",")))
    }

    /// The kernel writes blanks and backslashes in paths as a backslash and three octal digits.
    private static func unescaped(_ field: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = String(decoding: rest.prefix(3), as: UTF8.self)
            if byte == UInt8(ascii: "\\"), digits.utf8.count == 3, let code = UInt8(digits, radix: 8) {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The directories from a group up to the mount point.
    private static func chain(of path: String, in mount: Mount) -> [Directory] {
        var parts = path.split(separator: "/")
        let root = mount.root.split(separator: "/")
        if parts.starts(with: root) { parts.removeFirst(root.count) }
        // A group outside what is mounted here (its path goes up): only the mount point is visible.
        if parts.contains("..") { parts = [] }
        return (0...parts.count).reversed().map { count in
            let path = ([mount.point == "/" ? "" : mount.point] + parts.prefix(count).map(String.init))
            return Directory(path: path.joined(separator: "/"), version: mount.version)
        }
    }

    static func current() -> CgroupLayout {
        CgroupLayout(
            membership: SmallFile.kernelText("/proc/self/cgroup") ?? "",
            mounts: SmallFile.kernelText("/proc/self/mountinfo") ?? "")
    }
}
