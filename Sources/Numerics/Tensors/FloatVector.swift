import CKernels

/// A vector of F32 values in memory of its own: norm weights, biases, factors.
public final class FloatVector: @unchecked Sendable {
    public let count: Int
    let base: UnsafeMutablePointer<Float>

    /// Unpacks `count` elements of `bytes`; nil if the type cannot be read or the bytes are not exactly as many.
    public init?(type: TensorType, count: Int, bytes: UnsafeRawBufferPointer) {
        guard count > 0, type.isComputable, type.rowBytes(columns: count) == bytes.count,
            let source = bytes.baseAddress
        else { return nil }
        self.count = count
        base = .allocate(capacity: count)
        base.initialize(repeating: 0, count: count)
        _ = apus_dequantise(type.rawValue, source, base, count)
    }

    deinit { base.deallocate() }

    public var values: UnsafeBufferPointer<Float> { UnsafeBufferPointer(start: base, count: count) }
}
