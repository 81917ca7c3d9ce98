import ModelFiles
import Tensors

/// Checked access to the tensors of a file, which also notes which ones nobody asked for.
struct TensorTable {
    private let file: GGUFFile
    private var unused: Set<String>
    /// Every matrix that somebody took to multiply with.
    private(set) var packed: [PackedMatrix] = []

    init(_ file: GGUFFile) {
        self.file = file
        unused = Set(file.tensors.map(\.name))
    }

    func has(_ name: String) -> Bool { file.tensor(named: name) != nil }

    /// A matrix to multiply with, once it is packed.
    mutating func matrix(_ name: String, rows: Int, columns: Int) throws(ModelLoadError) -> PackedMatrix {
        let matrix = PackedMatrix(try rowsInFile(name, rows: rows, columns: columns), name: name.shortened)
        packed.append(matrix)
        return matrix
    }

    /// A matrix whose rows are read where they lie in the file.
    mutating func rowsInFile(_ name: String, rows: Int, columns: Int) throws(ModelLoadError) -> WeightMatrix {
        let tensor = try take(name, dimensions: [columns, rows])
        let matrix = WeightMatrix(
            type: tensor.type, rows: rows, columns: columns, bytes: file.bytes(of: tensor),
            owner: file.parts[tensor.part])
        guard let matrix else { throw .invalidTensor(name: name, reason: "its bytes are not \(rows) rows") }
        return matrix
    }

    /// `count` matrices of one shape that a tensor holds one after the other.
    mutating func matrices(
        _ name: String, _ count: Int, rows: Int, columns: Int
    ) throws(ModelLoadError) -> [PackedMatrix] {
        let tensor = try take(name, dimensions: [columns, rows, count])
        let bytes = file.bytes(of: tensor)
        let size = bytes.count / count
        let matrices = (0..<count).compactMap { index in
            WeightMatrix(
                type: tensor.type, rows: rows, columns: columns,
                bytes: UnsafeRawBufferPointer(rebasing: bytes[index * size..<(index + 1) * size]),
                owner: file.parts[tensor.part]
            ).map { PackedMatrix($0, name: name.shortened) }
        }
        guard matrices.count == count else {
            throw .invalidTensor(name: name, reason: "its bytes are not \(count) matrices of \(rows) rows")
        }
        packed += matrices
        return matrices
    }

    mutating func vector(_ name: String, count: Int) throws(ModelLoadError) -> FloatVector {
        let tensor = try take(name, dimensions: [count])
        guard let vector = FloatVector(type: tensor.type, count: count, bytes: file.bytes(of: tensor)) else {
            throw .invalidTensor(name: name, reason: "its bytes are not \(count) elements")
        }
        return vector
    }

    mutating func optionalVector(_ name: String, count: Int) throws(ModelLoadError) -> FloatVector? {
        has(name) ? try vector(name, count: count) : nil
    }

    /// Marks a tensor that is known and not needed.
    mutating func ignore(_ name: String) { unused.remove(name) }

    /// A tensor that no code asks for means that the model computes something else than the code does.
    func checkAllUsed(architecture: String) throws(ModelLoadError) {
        guard let name = unused.min() else { return }
        throw .unsupported(
            feature:
                "the model has \(unused.count) tensor(s) that \(architecture) does not use, such as \(name.shortened)")
    }

    private mutating func take(_ name: String, dimensions: [Int]) throws(ModelLoadError) -> GGUFTensor {
        guard let tensor = file.tensor(named: name) else { throw .missingTensor(name: name) }
        var found = tensor.dimensions
        while found.count > dimensions.count, found.last == 1 { found.removeLast() }
        guard found == dimensions else {
            throw .invalidTensor(name: name, reason: "its shape is \(tensor.dimensions), expected is \(dimensions)")
        }
        guard tensor.type.isComputable else {
            let readable = TensorType.allCases.filter(\.isComputable).map(\.name).joined(separator: ", ")
            throw .unsupported(feature: "tensor \(name) has the type \(tensor.type.name); supported are \(readable)")
        }
        unused.remove(name)
        return tensor
    }
}

extension String {
    /// For errors: at most 80 characters of a name from the file, without control characters.
    var shortened: String {
        String(
            String.UnicodeScalarView(
                unicodeScalars.prefix(80).map { $0.properties.generalCategory == .control ? "?" : $0 }))
    }
}
