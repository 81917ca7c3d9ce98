/// A model in the GGUF format, versions 2 and 3, in one or several parts.
///
/// Reading checks everything once: counts, lengths, types, offsets, overlaps. What it returns can be used without
/// further checks against the file. Tensor data is not read; the file must not change while it is mapped.
public struct GGUFFile: Sendable {
    public let version: UInt32
    /// The metadata of the first part.
    public let metadata: GGUFMetadata
    /// The tensors of all parts, in the order of the tables.
    public let tensors: [GGUFTensor]
    /// The parts, in the order of their numbers.
    public let parts: [GGUFBytes]
    let limits: GGUFLimits
    private let places: [String: Int]

    /// Reads the headers; the parts of a split model may come in any order.
    public init(parts: [GGUFBytes], limits: GGUFLimits = GGUFLimits()) throws(ModelFileError) {
        guard !parts.isEmpty else { throw .split(reason: "no file was given") }
        guard parts.count <= limits.parts else {
            throw .split(reason: "\(parts.count) parts were given, the limit is \(limits.parts)")
        }
        let order = try SplitOrder(parts, limits: limits)
        var tensors: [GGUFTensor] = []
        var places: [String: Int] = [:]
        for tensor in order.headers.flatMap(\.tensors) {
            guard places.updateValue(tensors.count, forKey: tensor.name) == nil else {
                throw .split(reason: "tensor \(printable(tensor.name)) is in two parts")
            }
            tensors.append(tensor)
        }
        try order.checkTotal(tensors.count)
        version = order.headers[0].version
        metadata = order.headers[0].metadata
        self.tensors = tensors
        self.parts = order.parts
        self.limits = limits
        self.places = places
    }

    public func tensor(named name: String) -> GGUFTensor? { places[name].map { tensors[$0] } }

    /// The data of a tensor of this file, valid as long as the file's parts live.
    public func bytes(of tensor: GGUFTensor) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: parts[tensor.part].bytes[tensor.offset..<tensor.offset + tensor.byteCount])
    }
}

/// The parts of a split model, put in order by their `split.no`.
private struct SplitOrder {
    let parts: [GGUFBytes]
    let headers: [GGUFPart]

    init(_ given: [GGUFBytes], limits: GGUFLimits) throws(ModelFileError) {
        var numbered: [Int: (part: GGUFBytes, header: GGUFPart)] = [:]
        for (index, part) in given.enumerated() {
            let header = try GGUFPart(part, part: index, limits: limits)
            let number = try Self.number(of: header, among: given.count)
            // A part out of place is read again: its tensors name the part by its number.
            let placed = number == index ? header : try GGUFPart(part, part: number, limits: limits)
            guard numbered.updateValue((part, placed), forKey: number) == nil else {
                throw .split(reason: "two files say that they are part \(number + 1)")
            }
        }
        let sorted = numbered.sorted { $0.key < $1.key }.map(\.value)
        parts = sorted.map(\.part)
        headers = sorted.map(\.header)
    }

    private static func number(of header: GGUFPart, among count: Int) throws(ModelFileError) -> Int {
        let metadata = header.metadata
        let declaredCount = metadata["split.count"] == nil ? 1 : metadata.uint("split.count")
        guard let declaredCount, declaredCount > 0 else { throw .split(reason: "split.count is no positive integer") }
        guard declaredCount == UInt64(count) else {
            throw .split(reason: "the model has \(declaredCount) part(s), but \(count) file(s) were given")
        }
        let number = metadata["split.no"] == nil && count == 1 ? 0 : metadata.uint("split.no")
        guard let number, number < UInt64(count) else {
            throw .split(reason: "split.no is absent or not below the \(count) parts")
        }
        return Int(number)
    }

    func checkTotal(_ count: Int) throws(ModelFileError) {
        let metadata = headers[0].metadata
        guard metadata["split.tensors.count"] != nil else { return }
        guard metadata.uint("split.tensors.count") == UInt64(count) else {
            throw .split(reason: "split.tensors.count differs from the \(count) tensors of all parts")
        }
    }
}
