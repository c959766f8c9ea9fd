// The known answer of the whole coder: a small picture under small networks, which every process codes to the same bytes.
//
// Encoder and decoder share kernels and tables. If one of these is wrong, as by a compiler's fault, both are wrong in the same way: what was
// encoded decodes here, and nowhere else. So verification asks for the known answer once in a process.
#pragma once
#include <string>

namespace ddpm {

// SHA-256, in hexadecimal digits, of the picture's streams: without and with five noise levels, while weights and colours learn, and by a single
// logistic, as at effort 0.
std::string coder_answer();

// Throws Error (MODEL) unless this process codes as every other does. Any thread may call it.
void require_coder_answer();

}  // namespace ddpm
