package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// staticBinary is the smallest file that has an ELF header of a static program.
func staticBinary() []byte {
	header := elf.Header64{
		Ident:     [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:      uint16(elf.ET_EXEC),
		Machine:   uint16(elf.EM_X86_64),
		Version:   uint32(elf.EV_CURRENT),
		Ehsize:    64,
		Phentsize: 56,
		Shentsize: 64,
	}
	var file bytes.Buffer
	_ = binary.Write(&file, binary.LittleEndian, header) // A buffer takes everything.
	return file.Bytes()
}
