import Tensors

/// Why a model file that could be read cannot be computed with.
public enum ModelLoadError: Error, Sendable, Equatable, CustomStringConvertible {
    case unsupportedArchitecture(name: String, supported: [String])
    case missingParameter(key: String)
    case invalidParameter(key: String, reason: String)
    case missingTensor(name: String)
    case invalidTensor(name: String, reason: String)
    case outOfMemory(bytes: Int)
    /// The file asks for something that the architecture's code does not do.
    case unsupported(feature: String)

    public var description: String {
        switch self {
        case .unsupportedArchitecture(let name, let supported):
            "the architecture \(name) is not supported; supported are \(supported.joined(separator: ", "))"
        case .missingParameter(let key): "the metadata lacks \(key)"
        case .invalidParameter(let key, let reason): "metadata \(key): \(reason)"
        case .missingTensor(let name): "the model lacks the tensor \(name)"
        case .invalidTensor(let name, let reason): "tensor \(name): \(reason)"
        case .outOfMemory(let bytes): "\(bytes) bytes of memory for the weights could not be reserved"
        case .unsupported(let feature): "not supported: \(feature)"
        }
    }
}

extension ModelLoadError {
    init(_ failure: PackingFailure) {
        switch failure {
        case .memory(let error): self = .outOfMemory(bytes: error.bytes)
        case .scale(let tensor, let row):
            self = .invalidTensor(name: tensor, reason: "a scale in rows \(row) ..< \(row + 16) is not finite")
        }
    }
}
