import EngineProtocol
import Glibc
import Models
import Tensors

/// A file that came beside a request: a prompt cache to read or to write.
public struct SessionFile: Sendable {
    let descriptor: Int32
    private let owner: any AnyObject & Sendable

    /// - Parameter owner: keeps the descriptor open.
    public init(descriptor: Int32, owner: any AnyObject & Sendable) {
        self.descriptor = descriptor
        self.owner = owner
    }
}

/// What a prompt cache belongs to: with anything else its bytes would mean something else.
struct PromptCacheIdentity: Sendable, Equatable {
    /// Of the model's file.
    let model: UInt64
    let cacheType: CacheType
    /// Keys and values have the bits that its kernels compute.
    let instructionSet: String
    let blockPositions: Int
    let blockBytes: Int
    let vocabularySize: Int
}

/// A file with the tokens of a prompt and the blocks of the KV cache that were computed for them.
///
/// | Offset | Bytes | Content, all numbers with the lowest byte first |
/// |---|---|---|
/// | 0 | 8 | `APUSKV` and two zeros |
/// | 8 | 4 | version, 1 |
/// | 12 | 4 | type of the KV cache |
/// | 16 | 8 | fingerprint of the model |
/// | 24 | 16 | name of the instruction set, filled up with zeros |
/// | 40 | 4 | positions of a block |
/// | 44 | 4 | blocks |
/// | 48 | 8 | bytes of a block |
/// | 56 | 4 · positions · blocks | tokens |
/// | … | 4 | CRC-32C of everything before |
/// | … | blocks · (bytes of a block + 4) | each block, and the CRC-32C of that of the head, the block's index and its bytes |
///
/// Whoever wrote it is not trusted: sizes are compared before anything is taken, and each block where it will be used.
struct PromptCacheFile {
    static let version: UInt32 = 1
    private static let magic = Array("APUSKV".utf8) + [0, 0]
    private static let headBytes = 56
    private static let nameBytes = 16

    let identity: PromptCacheIdentity
    let tokens: [Int32]
    /// Of everything before the blocks.
    private let checksum: UInt32
    private let firstBlock: Int

    var blocks: Int { tokens.count / identity.blockPositions }

    // MARK: Reading

    /// Reads and checks what stands before the blocks.
    ///
    /// - Parameter mostBlocks: more are not read.
    init(reading file: SessionFile, for identity: PromptCacheIdentity, mostBlocks: Int) throws(EngineError) {
        self.identity = identity
        let head = try Self.read(file, Self.headBytes, at: 0)
        let blocks = try Self.check(head, identity)
        guard blocks <= mostBlocks else {
            throw .resourceExhausted(
                message: "the prompt cache has \(blocks) blocks of \(identity.blockPositions) positions, "
                    + "\(mostBlocks) can be loaded", permanent: true)
        }
        let tokenBytes = try Self.read(file, blocks * identity.blockPositions * 4, at: Self.headBytes)
        checksum = Self.checksum(of: head + tokenBytes)
        firstBlock = Self.headBytes + tokenBytes.count + 4
        let size = firstBlock + blocks * (identity.blockBytes + 4)
        let actual = lseek(file.descriptor, 0, SEEK_END)
        guard actual == size else { throw Self.damaged("it has \(actual) bytes, its head tells of \(size)") }
        guard checksum == Self.integer(try Self.read(file, 4, at: firstBlock - 4)[...]) else {
            throw Self.damaged("the checksum of its head is wrong")
        }
        tokens = stride(from: 0, to: tokenBytes.count, by: 4).map {
            Int32(bitPattern: Self.integer(tokenBytes[$0..<$0 + 4]))
        }
        if let token = tokens.first(where: { $0 < 0 || Int($0) >= identity.vocabularySize }) {
            throw Self.damaged("it has token \(token), the vocabulary has \(identity.vocabularySize) tokens")
        }
    }

    private static func check(_ head: [UInt8], _ identity: PromptCacheIdentity) throws(EngineError) -> Int {
        guard head.starts(with: magic) else { throw refusal("is no prompt cache") }
        let version: UInt32 = integer(head[8..<12])
        guard version == Self.version else {
            throw refusal("has version \(version), this program reads version \(Self.version)")
        }
        let expected = Self.head(of: identity, blocks: 0)
        guard head[16..<24] == expected[16..<24] else { throw refusal("was saved with another model") }
        guard head[12..<16] == expected[12..<16] else {
            throw refusal("was saved with another type of KV cache than \(identity.cacheType)")
        }
        guard head[24..<40] == expected[24..<40] else {
            throw refusal("was computed with another instruction set than \(identity.instructionSet)")
        }
        guard head[40..<44] == expected[40..<44], head[48..<56] == expected[48..<56] else {
            throw refusal("has blocks of another size")
        }
        let blocks: UInt32 = integer(head[44..<48])
        return Int(blocks)
    }

    /// Reads a block to where it will be used.
    func read(_ file: SessionFile, block: Int, into bytes: UnsafeMutableRawBufferPointer) throws(EngineError) {
        let offset = firstBlock + block * (identity.blockBytes + 4)
        try Self.read(file, into: bytes, at: offset)
        let stored: UInt32 = Self.integer(try Self.read(file, 4, at: offset + bytes.count)[...])
        guard stored == Self.checksum(head: checksum, block: block, UnsafeRawBufferPointer(bytes)) else {
            throw Self.damaged("the checksum of block \(block) is wrong")
        }
    }

    // MARK: Writing

    /// Writes a whole file, whatever was in it before.
    static func write(
        tokens: [Int32], identity: PromptCacheIdentity, to file: SessionFile,
        blocks: [UnsafeMutableRawBufferPointer]
    ) throws(EngineError) {
        var head = head(of: identity, blocks: blocks.count)
        for token in tokens { append(UInt32(bitPattern: token), to: &head) }
        let checksum = checksum(of: head)
        append(checksum, to: &head)
        guard lseek(file.descriptor, 0, SEEK_SET) == 0, ftruncate(file.descriptor, 0) == 0 else {
            throw failure("truncate")
        }
        try write(head, to: file)
        for (index, block) in blocks.enumerated() {
            let bytes = UnsafeRawBufferPointer(block)
            try write(bytes, to: file)
            var trailer: [UInt8] = []
            append(Self.checksum(head: checksum, block: index, bytes), to: &trailer)
            try write(trailer, to: file)
        }
    }

    private static func head(of identity: PromptCacheIdentity, blocks: Int) -> [UInt8] {
        var head = magic
        append(version, to: &head)
        append(UInt32(identity.cacheType.rawValue), to: &head)
        append(identity.model, to: &head)
        let name = identity.instructionSet.utf8.prefix(nameBytes)
        head += name + Array(repeating: 0, count: nameBytes - name.count)
        append(UInt32(identity.blockPositions), to: &head)
        append(UInt32(blocks), to: &head)
        append(UInt64(identity.blockBytes), to: &head)
        return head
    }

    // MARK: Bytes

    private static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    private static func integer(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    private static func checksum(of bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes(Checksum.of) }

    /// Blocks of other files, or at other places, are not taken for this one.
    private static func checksum(head: UInt32, block: Int, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var place: [UInt8] = []
        append(head, to: &place)
        append(UInt32(block), to: &place)
        var checksum = Checksum()
        place.withUnsafeBytes { checksum.update($0) }
        checksum.update(bytes)
        return checksum.value
    }

    private static func read(_ file: SessionFile, _ count: Int, at offset: Int) throws(EngineError) -> [UInt8] {
        var bytes: [UInt8] = []
        // In parts, so that a size that is not true takes no memory that the file does not have.
        while bytes.count < count {
            let part = min(count - bytes.count, 1 << 20)
            var piece = [UInt8](repeating: 0, count: part)
            try piece.withUnsafeMutableBufferPointer { piece throws(EngineError) in
                try read(file, into: UnsafeMutableRawBufferPointer(piece), at: offset + bytes.count)
            }
            bytes += piece
        }
        return bytes
    }

    private static func read(
        _ file: SessionFile, into bytes: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws(EngineError) {
        var done = 0
        while done < bytes.count {
            let count = pread(
                file.descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset + done))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw refusal("cannot be read (\(String(cString: strerror(errno))))") }
            guard count > 0 else { throw damaged("it ends at byte \(offset + done)") }
            done += count
        }
    }

    private static func write(_ bytes: [UInt8], to file: SessionFile) throws(EngineError) {
        try bytes.withUnsafeBufferPointer { bytes throws(EngineError) in
            try write(UnsafeRawBufferPointer(bytes), to: file)
        }
    }

    private static func write(_ bytes: UnsafeRawBufferPointer, to file: SessionFile) throws(EngineError) {
        var done = 0
        while done < bytes.count {
            let count = Glibc.write(file.descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("write") }
            done += count
        }
    }

    // MARK: Errors

    private static func refusal(_ reason: String) -> EngineError {
        .invalidRequest(parameter: "prompt_cache", message: "the prompt cache file \(reason)")
    }

    private static func damaged(_ reason: String) -> EngineError { refusal("is damaged: \(reason)") }

    private static func failure(_ operation: String) -> EngineError {
        .resourceExhausted(
            message: "the prompt cache file: \(operation): \(String(cString: strerror(errno)))", permanent: false)
    }
}
