import CKernels

/// The kernels for one instruction set.
///
/// Which one is used changes the speed only: products of quantised weights and attention have the same bits in all of
/// them.
public struct InstructionSet: @unchecked Sendable, Equatable, CustomStringConvertible {
    let kernels: OpaquePointer
    /// `plain`, `avx2`, `avx512` or `neon`.
    public let name: String

    private init(_ kernels: OpaquePointer) {
        self.kernels = kernels
        name = String(cString: apus_kernels_name(kernels))
    }

    /// The fastest that this processor can run.
    public static let best = InstructionSet(apus_best_kernels())

    /// Nil if there is none of that name, or this processor lacks it.
    public init?(named name: String) {
        guard let kernels = apus_kernels_named(name) else { return nil }
        self.init(kernels)
    }

    /// All that this processor can run; the plain reference comes first.
    public static var available: [InstructionSet] {
        ["plain", "neon", "avx2", "avx512"].compactMap { .init(named: $0) }
    }

    public var description: String { name }
}
