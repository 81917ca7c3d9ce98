import EngineProtocol
import SharedMemory

/// One input of the fuzzer: its first byte says what it is taken for, a message of the link or a frame of the handshake.
///
/// What can be decoded must encode to the same bytes again, because each value has one encoding.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let start, count > 0 else { return 0 }
    let bytes = UnsafeRawBufferPointer(start: start + 1, count: count - 1)
    if start[0] & 1 == 0 { fuzzMessage(bytes) } else { fuzzFrame(bytes) }
    return 0
}

private func fuzzMessage(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= MessageHeader.size else { return }
    // The fuzzer cannot guess checksums: they are put right, so that what is behind them is reached.
    var message = [UInt8](bytes)
    putChecksum(into: &message)
    let decoded = message.withUnsafeBytes { message in
        try? MessageCodec.decode(
            header: UnsafeRawBufferPointer(rebasing: message[..<MessageHeader.size]),
            payload: UnsafeRawBufferPointer(rebasing: message[MessageHeader.size...]))
    }
    guard let decoded else { return }
    var again: [UInt8] = []
    do throws(CodecError) {
        try MessageCodec.encode(decoded, payloadChecksum: message[5] & 2 != 0, into: &again)
    } catch {
        fatalError("decoded, but not encoded: \(error)")
    }
    // Where the payload came from is the sender's choice.
    if message[5] & 8 == 0 { precondition(again == message, "another encoding of the same message") }
}

private func putChecksum(into message: inout [UInt8]) {
    var sum = Checksum()
    message.withUnsafeBytes { bytes in
        sum.update(UnsafeRawBufferPointer(rebasing: bytes[..<20]))
        withUnsafeBytes(of: UInt32(0)) { sum.update($0) }
        if bytes[5] & 2 != 0 { sum.update(UnsafeRawBufferPointer(rebasing: bytes[MessageHeader.size...])) }
    }
    for byte in 0..<4 { message[20 + byte] = UInt8(truncatingIfNeeded: sum.value >> UInt32(8 * byte)) }
}

private func fuzzFrame(_ bytes: UnsafeRawBufferPointer) {
    guard let frame = try? HandshakeFrame(decoding: [UInt8](bytes)) else { return }
    precondition(frame.encoded().count == HandshakeFrame.size, "a frame of another size")
}
