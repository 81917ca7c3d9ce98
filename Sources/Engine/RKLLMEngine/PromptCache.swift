import CRKLLM
import EngineProtocol
import Glibc
import Platform

/// What a prompt cache has to fit: the model's file, and the release that made it.
struct ModelIdentity: Sendable, Equatable {
    let family: RuntimeFamily
    /// Of the file's size and of blocks all over it; a model has too many bytes to read them all.
    let fingerprint: UInt64

    static let blocks: UInt64 = 64
    static let blockBytes = 16 << 10

    init(path: String, family: RuntimeFamily) throws(EngineError) {
        self.family = family
        do throws(SystemError) {
            let file = try FileDescriptor.openForReading(path: path)
            let size = try file.fileSize()
            var checksum = Checksum()
            for block in 0..<Self.blocks {
                let room = size - min(size, UInt64(Self.blockBytes))
                let place = room / (Self.blocks - 1) * block
                let bytes = try FileBytes.read(file.rawValue, at: min(place, room), count: Self.blockBytes)
                bytes.withUnsafeBytes { checksum.update($0) }
            }
            fingerprint = UInt64(checksum.value) << 32 | size & 0xFFFF_FFFF
        } catch {
            throw .invalidRequest(parameter: "model", message: "model file: \(error.description)")
        }
    }
}

/// A prompt cache of the runtime's, in a file of memory that it can read and write although the worker may make no files.
///
/// On disk it follows a header, with numbers in little-endian order:
///
/// | bytes | |
/// |---|---|
/// | 0 | `APUSRKPC` |
/// | 8 | version of this header, 1 |
/// | 12 | family of the runtime, such as 121 |
/// | 16 | fingerprint of the model |
/// | 24 | bytes that follow the header |
/// | 32 | positions, as far as they are known |
/// | 36 | CRC-32C of the bytes that follow |
/// | 40 | CRC-32C of the 40 bytes before |
final class PromptCache: Sendable {
    let positions: UInt32
    private let memory: FileDescriptor

    /// Where the runtime finds it.
    var path: String { "/proc/self/fd/\(memory.rawValue)" }

    /// An empty one, for the runtime to write.
    init() throws(EngineError) {
        positions = 0
        memory = try Self.memoryFile()
    }

    /// Reads a file, if it was saved with this model.
    init(readingFrom file: RuntimeFile, of identity: ModelIdentity, limits: RKLLMLimits) throws(EngineError) {
        let header = try PromptCacheHeader(readingFrom: file.descriptor)
        guard header.identity == PromptCacheHeader.words(identity) else {
            throw Self.refusal("it was saved with another model, or with another release of the runtime")
        }
        guard header.byteCount <= limits.promptCacheBytes else {
            throw Self.refusal("it has \(header.byteCount) bytes, the limit is \(limits.promptCacheBytes)")
        }
        positions = header.positions
        memory = try Self.memoryFile()
        let copied = try Self.copy(
            header.byteCount, from: file.descriptor, at: PromptCacheHeader.byteCount, to: memory.rawValue, at: 0)
        guard copied == header.checksum else { throw Self.refusal("it was cut or changed") }
    }

    /// Writes what the runtime has written, for a later `init(readingFrom:)`.
    func write(
        to file: RuntimeFile, of identity: ModelIdentity, positions: UInt32, limits: RKLLMLimits
    ) throws(EngineError) {
        let byteCount = (try? memory.fileSize()) ?? 0
        guard byteCount > 0 else {
            throw .unsupported(feature: "saving of this prompt's cache: the Rockchip runtime wrote nothing")
        }
        guard byteCount <= limits.promptCacheBytes else {
            throw Self.refusal("it would have \(byteCount) bytes, the limit is \(limits.promptCacheBytes)")
        }
        // Of a file that is cut off here, nobody takes what was there before for the whole.
        guard ftruncate(file.descriptor, 0) == 0 else { throw Self.failure("cut the prompt cache's file", errno) }
        let checksum = try Self.copy(
            byteCount, from: memory.rawValue, at: 0, to: file.descriptor, at: PromptCacheHeader.byteCount)
        let header = PromptCacheHeader(
            identity: PromptCacheHeader.words(identity), byteCount: byteCount, positions: positions, checksum: checksum)
        try Self.write(header.bytes, to: file.descriptor, at: 0)
    }

    private static func memoryFile() throws(EngineError) -> FileDescriptor {
        do throws(SystemError) {
            return try FileDescriptor.sealableMemory(name: "apus-prompt-cache", byteCount: 0)
        } catch {
            throw .resourceExhausted(message: "prompt cache: \(error.description)", permanent: false)
        }
    }

    /// - Returns: the checksum of what was copied.
    private static func copy(
        _ byteCount: UInt64, from source: Int32, at start: Int, to target: Int32, at targetStart: Int
    ) throws(EngineError) -> UInt32 {
        var checksum = Checksum()
        var copied: UInt64 = 0
        while copied < byteCount {
            let bytes: [UInt8]
            do throws(SystemError) {
                bytes = try FileBytes.read(
                    source, at: UInt64(start) + copied, count: Int(min(1 << 20, byteCount - copied)))
            } catch {
                throw failure("read the prompt cache", error.code)
            }
            guard !bytes.isEmpty else { throw refusal("it was cut") }
            bytes.withUnsafeBytes { checksum.update($0) }
            try write(bytes, to: target, at: targetStart + Int(copied))
            copied += UInt64(bytes.count)
        }
        return checksum.value
    }

    private static func write(_ bytes: [UInt8], to file: Int32, at place: Int) throws(EngineError) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                pwrite(
                    file, buffer.baseAddress.map { $0 + written }, bytes.count - written, off_t(place + written))
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw failure("write the prompt cache", count < 0 ? errno : ENOSPC) }
            written += count
        }
    }

    static func refusal(_ reason: String) -> EngineError {
        .invalidRequest(parameter: "prompt_cache", message: "this prompt cache cannot be used: \(reason)")
    }

    private static func failure(_ operation: String, _ code: Int32) -> EngineError {
        .resourceExhausted(
            message: SystemError(operation: operation, code: code).description, permanent: false)
    }
}

/// What stands before a prompt cache in its file.
struct PromptCacheHeader {
    static let byteCount = 44
    private static let magic = Array("APUSRKPC".utf8)
    private static let version: UInt32 = 1

    var identity: [UInt64]
    var byteCount: UInt64
    var positions: UInt32
    var checksum: UInt32

    static func words(_ identity: ModelIdentity) -> [UInt64] {
        [UInt64(identity.family.code.rawValue), identity.fingerprint]
    }

    init(identity: [UInt64], byteCount: UInt64, positions: UInt32, checksum: UInt32) {
        (self.identity, self.byteCount, self.positions, self.checksum) = (identity, byteCount, positions, checksum)
    }

    init(readingFrom file: Int32) throws(EngineError) {
        let bytes = (try? FileBytes.read(file, at: 0, count: Self.byteCount)) ?? []
        guard bytes.count == Self.byteCount, bytes.starts(with: Self.magic) else {
            throw PromptCache.refusal("it does not say which model it was saved with, so Apus did not write it")
        }
        func number<Number: FixedWidthInteger>(at place: Int) -> Number {
            (0..<MemoryLayout<Number>.size).reduce(0) { $0 | Number(truncatingIfNeeded: bytes[place + $1]) << ($1 * 8) }
        }
        let sum: UInt32 = number(at: 40), version: UInt32 = number(at: 8), family: UInt32 = number(at: 12)
        guard sum == Array(bytes[..<40]).withUnsafeBytes({ Checksum.of($0) }) else {
            throw PromptCache.refusal("it was cut or changed")
        }
        guard version == Self.version else {
            throw PromptCache.refusal("its version is \(version), not \(Self.version)")
        }
        identity = [UInt64(family), number(at: 16)]
        byteCount = number(at: 24)
        positions = number(at: 32)
        checksum = number(at: 36)
    }

    var bytes: [UInt8] {
        var bytes = Self.magic
        func add<Number: FixedWidthInteger>(_ number: Number) {
            withUnsafeBytes(of: number.littleEndian) { bytes += $0 }
        }
        add(Self.version)
        add(UInt32(truncatingIfNeeded: identity[0]))
        add(identity[1])
        add(byteCount)
        add(positions)
        add(checksum)
        add(bytes.withUnsafeBytes { Checksum.of($0) })
        return bytes
    }
}

/// Bytes of a file wherever its position is.
enum FileBytes {
    /// Fewer than asked for at the end of the file.
    static func read(_ file: Int32, at place: UInt64, count: Int) throws(SystemError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var got = 0
        while got < count {
            let start = off_t(clamping: place) + off_t(got)
            let now = bytes.withUnsafeMutableBytes { buffer in
                pread(file, buffer.baseAddress.map { $0 + got }, count - got, start)
            }
            if now < 0 && errno == EINTR { continue }
            guard now >= 0 else { throw SystemError(operation: "read", code: errno) }
            if now == 0 { break }
            got += now
        }
        return Array(bytes[..<got])
    }
}
