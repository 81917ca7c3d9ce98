import Platform

/// What a worker gives up before the first byte of a model or of a request reaches it.
///
/// Of the native engine's worker that is everything: model files come as open descriptors over a link that is open too,
/// so nothing that it needs afterwards has a path, an address or a program behind it. Two layers refuse the same things:
/// Landlock knows what a file and a socket are, the filter of system calls knows every call. The library of a vendor asks
/// for files, folders and devices that nobody here knows, so its worker keeps reading and devices, and loses what no
/// engine needs.
struct Confinement {
    enum Mode: String, CaseIterable {
        /// As far as the kernel can.
        case best
        /// Completely, or the worker does not start.
        case required
        /// Not at all: for debuggers and sanitizers.
        case off
    }

    struct Refusal: Error, CustomStringConvertible {
        let description: String
    }

    /// Whose code runs in the worker.
    enum Code {
        case own
        /// A library that drives a device.
        case vendor
    }

    private let limits: ConfinementLimits
    private let code: Code
    /// What is in force.
    private(set) var measures: [String] = []
    /// What this kernel does not have, or did not do.
    private(set) var lacks: [String] = []

    init(limits: ConfinementLimits = ConfinementLimits(), code: Code = .own) {
        self.limits = limits
        self.code = code
    }

    /// Everything, in the right order; call it before any thread is started.
    ///
    /// - Parameter memory: bytes of private memory that the worker may have.
    mutating func enter(_ mode: Mode, memory: UInt64) throws(Refusal) {
        guard mode != .off else { return }
        lowerLimits(memory: memory)
        refuseFiles()
        filterCalls()
        guard mode == .required, !lacks.isEmpty else { return }
        throw Refusal(description: "confinement is required, and this system lacks: \(lacks.joined(separator: "; "))")
    }

    /// Privileges, and how much of everything there may be.
    mutating func lowerLimits(memory: UInt64) {
        note("no capabilities, and none to be gained") { () throws(SystemError) in
            try SelfRestriction.dropPrivileges()
        }
        let descriptors = limits.descriptors
        note("no core files, \(descriptors) descriptors, \(memory >> 20) MiB of private memory") {
            () throws(SystemError) in
            try SelfRestriction.limit(.coreBytes, to: 0)
            try SelfRestriction.limit(.descriptors, to: UInt64(descriptors))
            try SelfRestriction.limit(.dataBytes, to: memory)
        }
    }

    /// Landlock: files and programs, and with newer kernels TCP, signals and abstract sockets.
    mutating func refuseFiles() {
        do throws(SystemError) {
            let version = try SelfRestriction.refuseByLandlock(leaving: code == .own ? .none : .readingAndDevices)
            let files = code == .own ? "no files" : "files read only, devices"
            let newer = version >= 6 ? ", no TCP, no signals" : version >= 4 ? ", no TCP" : ""
            measures.append("Landlock, version \(version): \(files)\(newer)")
        } catch {
            lacks.append("Landlock, which Linux has from 5.13 on if it is enabled (\(error.reason))")
        }
    }

    mutating func filterCalls() {
        note("a filter of system calls") { [code] () throws(SystemError) in try SystemCallFilter.install(for: code) }
    }

    private mutating func note(_ measure: String, _ step: () throws(SystemError) -> Void) {
        do throws(SystemError) {
            try step()
            measures.append(measure)
        } catch {
            lacks.append("\(measure) (\(error.description))")
        }
    }
}

/// What a confined worker may have.
public struct ConfinementLimits: Sendable, Equatable {
    /// Open descriptors: model files, and the memory files that a full link holds.
    public var descriptors = 2048
    /// Private memory beyond what was there when the worker started, for what no plan counts.
    public var memoryBeyondPlanBytes: UInt64 = 256 << 20
    /// Added to `oom_score_adj`: when memory runs out, the kernel ends a worker before the user's other programs.
    public var memoryKillerPoints: Int32 = 300

    public init() {}
}
