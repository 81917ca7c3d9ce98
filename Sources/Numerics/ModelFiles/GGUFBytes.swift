/// The bytes of one GGUF part, and what keeps them alive.
///
/// The bytes never change, so views into them may be used on any thread as long as the owner lives.
public final class GGUFBytes: @unchecked Sendable {
    /// All bytes of the part.
    public let bytes: UnsafeRawBufferPointer
    let owner: AnyObject?
    private let allocation: UnsafeMutableRawPointer?

    /// Memory that lives as long as the process, such as an embedded model.
    public init(staticBytes: UnsafeRawBufferPointer) {
        bytes = staticBytes
        owner = nil
        allocation = nil
    }

    /// An own copy, aligned to 64 bytes.
    public init(copying source: [UInt8]) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(source.count, 1), alignment: 64)
        memory.copyBytes(from: source)
        bytes = UnsafeRawBufferPointer(rebasing: memory[..<source.count])
        owner = nil
        allocation = memory.baseAddress
    }

    /// Bytes that `owner` keeps alive and unchanged.
    init(bytes: UnsafeRawBufferPointer, owner: AnyObject) {
        self.bytes = bytes
        self.owner = owner
        allocation = nil
    }

    deinit { allocation?.deallocate() }
}
