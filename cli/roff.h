/* SPDX-License-Identifier: MIT */
/*
 * cli/roff.h - man pages made from tables
 */
#ifndef GMEM_CLI_ROFF_H
#define GMEM_CLI_ROFF_H

/* ".TH" of a page of section 7 and its NAME; name is "gmem-rules". */
void roff_begin(const char *name, const char *summary);
/* Text, with what means something to roff escaped; no newline. */
void roff_text(const char *text);
void roff_section(const char *title);
/* Tagged paragraph: the tag in bold, then a line break for the text. */
void roff_tag(const char *tag);

#endif
